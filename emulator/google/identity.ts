// Plays Google's signer of VM identity tokens: RS256 JWTs as the metadata server hands them out, and
// the public keys (JWKS) with which the api function checks them.
// https://cloud.google.com/compute/docs/instances/verifying-instance-identity

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importPKCS8,
  SignJWT,
  type JSONWebKeySet,
} from 'jose'

export const GOOGLE_ISSUER = 'https://accounts.google.com'
const LIFETIME_SECONDS = 3600

/** What the token says of the VM that asked for it. */
export interface VmClaims {
  project: string
  projectNumber: string
  zone: string
  instanceId: string
  instanceName: string
  /** Seconds since 1970. */
  instanceCreationTimestamp: number
  /** The VM's service account. */
  email: string
}

export interface IdentitySigner {
  /** A token as `identity?audience=A` answers; with `isFull` it names the VM. */
  sign(vm: VmClaims, audience: string, isFull: boolean, now: number): Promise<string>
  /** The public keys, as https://www.googleapis.com/oauth2/v3/certs shows Google's. */
  jwks: JSONWebKeySet
}

/** The key pair is made once and kept in `file`, so that tokens outlive a restart. */
export async function createIdentitySigner(file: string): Promise<IdentitySigner> {
  const privateKey = await importPKCS8(await readOrMake(file), 'RS256', { extractable: true })
  const { kty, n, e } = await exportJWK(privateKey)
  const publicKey = { ...(kty ? { kty } : {}), ...(n ? { n } : {}), ...(e ? { e } : {}) }
  const kid = await calculateJwkThumbprint(publicKey)
  return {
    jwks: { keys: [{ ...publicKey, kid, use: 'sig', alg: 'RS256' }] },
    sign(vm, audience, isFull, now) {
      const issuedAt = Math.floor(now / 1000)
      return new SignJWT(
        isFull ? { ...standardClaims(vm), google: computeEngine(vm) } : standardClaims(vm),
      )
        .setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' })
        .setIssuer(GOOGLE_ISSUER)
        .setSubject(subjectOf(vm))
        .setAudience(audience)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + LIFETIME_SECONDS)
        .sign(privateKey)
    },
  }
}

function standardClaims(vm: VmClaims): Record<string, unknown> {
  return { azp: subjectOf(vm), email: vm.email, email_verified: true }
}

function computeEngine(vm: VmClaims): Record<string, unknown> {
  return {
    compute_engine: {
      project_id: vm.project,
      project_number: Number(vm.projectNumber),
      zone: vm.zone,
      instance_id: vm.instanceId,
      instance_name: vm.instanceName,
      instance_creation_timestamp: vm.instanceCreationTimestamp,
    },
  }
}

/** The service account's unique id: 21 digits, the same for all VMs of a project. */
function subjectOf(vm: VmClaims): string {
  return `1${vm.projectNumber.padStart(20, '0')}`
}

async function readOrMake(file: string): Promise<string> {
  if (existsSync(file)) return readFileSync(file, 'utf8')
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const pem = await exportPKCS8(privateKey)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, pem, { mode: 0o600 })
  chmodSync(file, 0o600)
  return pem
}
