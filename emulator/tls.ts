// Certificates for loopback: a private authority that is kept in a folder, so that a kubeconfig
// stays good across restarts, and a server certificate that it signs anew at each start.

// @peculiar/x509 needs the metadata API to be there first.
// oxlint-disable-next-line import/no-unassigned-import
import 'reflect-metadata'
import {
  createPrivateKey,
  randomBytes,
  webcrypto,
  X509Certificate as NodeCertificate,
} from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3650
const SERVER_DAYS = 397
const AUTHORITY_NAME = 'CN=wherry'
/** Clocks of clients may be a little behind. */
const BACKDATE_MS = 300_000

export interface Authority {
  /** What clients trust: goes into `certificate-authority-data`. */
  certificatePem: string
  /** Signs; never leaves this machine. */
  keyPem: string
}

export interface ServerCertificate {
  certificatePem: string
  keyPem: string
}

/** The authority kept in `dir` (`ca.crt`, `ca.key`); made when it is missing or about to end. */
export async function createAuthority(dir: string, now = Date.now()): Promise<Authority> {
  const certificatePath = join(dir, 'ca.crt')
  const keyPath = join(dir, 'ca.key')
  if (existsSync(certificatePath) && existsSync(keyPath)) {
    const kept = {
      certificatePem: readFileSync(certificatePath, 'utf8'),
      keyPem: readFileSync(keyPath, 'utf8'),
    }
    if (isUsable(kept, now)) return kept
  }
  const authority = await newAuthority(now)
  mkdirSync(dir, { recursive: true })
  // The key first: a crash in between leaves no certificate, and both are made again.
  writeAtOnce(keyPath, authority.keyPem, 0o600)
  writeAtOnce(certificatePath, authority.certificatePem, 0o644)
  return authority
}

/** A server certificate for these host names and addresses. */
export async function issueCertificate(
  authority: Authority,
  hosts: readonly string[],
  now = Date.now(),
): Promise<ServerCertificate> {
  const issuer = new x509.X509Certificate(authority.certificatePem)
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${hosts[0] ?? 'wherry'}`,
    issuer: issuer.subject,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + SERVER_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({
          type: isIP(host) ? ('ip' as const) : ('dns' as const),
          value: host,
        })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), keyPem: await exportKey(keys.privateKey) }
}

async function newAuthority(now: number): Promise<Authority> {
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: AUTHORITY_NAME,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + AUTHORITY_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), keyPem: await exportKey(keys.privateKey) }
}

/** False for what cannot be read, does not belong together, or would end within a server's time. */
function isUsable(authority: Authority, now: number): boolean {
  try {
    const certificate = new NodeCertificate(authority.certificatePem)
    return (
      certificate.checkPrivateKey(createPrivateKey(authority.keyPem)) &&
      Date.parse(certificate.validTo) > now + SERVER_DAYS * DAY_MS
    )
  } catch {
    return false
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(pem)
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

function serial(): string {
  const bytes = randomBytes(16)
  // Positive and of full length: the first bit 0, the second 1.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

function writeAtOnce(path: string, text: string, mode: number): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode })
  renameSync(draft, path)
}
