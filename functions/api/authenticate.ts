// Who a bearer token speaks for: people and tools by static tokens, VMs by the identity token that
// Google signs for them (https://cloud.google.com/compute/docs/instances/verifying-instance-identity).

import { createHash, timingSafeEqual } from 'node:crypto'
import { errors, jwtVerify, type JWTVerifyGetKey } from 'jose'
import type { NodePool, PoolInstance } from '#shared/api/node-pool.ts'
import type { Reader } from '#shared/view/reader.ts'
import { parseTime } from '#shared/time.ts'
import type { Authenticate, Identity } from './deps.ts'

export interface VmTrust {
  /** `https://accounts.google.com`, or the emulated metadata server's. */
  issuer: string
  audience: string
  project: string
  /** The issuer's public keys (jose's createRemoteJWKSet or createLocalJWKSet). */
  keys: JWTVerifyGetKey
  /** A cluster as it is now: its NodePools hold the VMs as Compute Engine listed them. */
  read(cluster: string): Promise<Pick<Reader, 'list' | 'version'>>
}

export interface AuthenticatorOptions {
  staticTokens: readonly { token: string; identity: Identity }[]
  vm?: VmTrust
}

interface VmClaims {
  project_id: string
  zone: string
  instance_id: string
  instance_name: string
  /** Seconds since 1970. */
  instance_creation_timestamp: number
}

/** Turns bearer tokens into identities. What cannot be proved is undefined, never an error. */
export function createAuthenticator({ staticTokens, vm }: AuthenticatorOptions): Authenticate {
  const known = staticTokens
    .filter((entry) => entry.token !== '')
    .map((entry) => ({ digest: digest(entry.token), identity: entry.identity }))
  return async (token, request) => {
    const identity = findStatic(known, token)
    if (identity) return identity
    if (!vm || !request || token.split('.').length !== 3) return undefined
    return authenticateVm(vm, token, request.cluster)
  }
}

/** Looks at every entry, whatever matches: the time taken says nothing about the tokens. */
function findStatic(
  known: readonly { digest: Buffer; identity: Identity }[],
  token: string,
): Identity | undefined {
  const presented = digest(token)
  let found: Identity | undefined
  for (const entry of known) if (timingSafeEqual(entry.digest, presented)) found = entry.identity
  return found
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

async function authenticateVm(
  vm: VmTrust,
  token: string,
  cluster: string,
): Promise<Identity | undefined> {
  const claims = await verify(vm, token)
  if (claims?.project_id !== vm.project) return undefined
  const reader = await vm.read(cluster)
  const pools = reader.list('nodepools.container.wherry.dev') as readonly NodePool[]
  const isListed = pools.some((pool) => poolHas(pool, claims))
  if (!isListed) return undefined
  return {
    user: `system:node:${claims.instance_name}`,
    groups: ['system:nodes', 'system:authenticated'],
    clusters: [cluster],
    node: { cluster, name: claims.instance_name, instanceId: claims.instance_id },
    seen: reader.version,
  }
}

async function verify(vm: VmTrust, token: string): Promise<VmClaims | undefined> {
  try {
    const { payload } = await jwtVerify(token, vm.keys, {
      algorithms: ['RS256'],
      issuer: vm.issuer,
      audience: vm.audience,
      requiredClaims: ['exp', 'iat'],
      clockTolerance: 30,
    })
    return vmClaims(payload['google'])
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined
    // The keys could not be fetched: nothing can be proved now.
    if (error instanceof TypeError) return undefined
    throw error
  }
}

function vmClaims(google: unknown): VmClaims | undefined {
  const engine = isRecord(google) ? google['compute_engine'] : undefined
  if (!isRecord(engine)) return undefined
  const text = (name: string): string | undefined => {
    const value = engine[name]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
  }
  const project_id = text('project_id')
  const zone = text('zone')
  const instance_id = text('instance_id')
  const instance_name = text('instance_name')
  const created = Number(text('instance_creation_timestamp'))
  if (!project_id || !zone || !instance_id || !instance_name) return undefined
  if (!Number.isFinite(created)) return undefined
  return { project_id, zone, instance_id, instance_name, instance_creation_timestamp: created }
}

function poolHas(pool: NodePool, claims: VmClaims): boolean {
  const isSame = (instance: PoolInstance): boolean =>
    instance.name === claims.instance_name &&
    instance.id === claims.instance_id &&
    isCreatedAt(instance, claims.instance_creation_timestamp)
  return pool.spec.zone === claims.zone && (pool.status?.instances ?? []).some(isSame)
}

/** The token has whole seconds, the list a text with a fraction. */
function isCreatedAt(instance: PoolInstance, seconds: number): boolean {
  const listed = parseTime(instance.creationTimestamp)
  return listed !== undefined && Math.abs(Math.floor(listed / 1000) - seconds) <= 1
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
