// Who pulls an image: what registries ask for, and which of several fits a registry. Pure.

import { isRecord } from '../json.ts'

export interface Credential {
  username: string
  password: string
}

/** A credential and where it counts: `registry.example/team`, `*.gcr.io`. */
export interface RegistryCredential extends Credential {
  registry: string
}

/** Docker Hub's own name for itself in a configuration. */
const HUB = /^(index\.|registry-1\.)?docker\.io(\/v[12])?$/

/**
 * The entries of a `.dockerconfigjson` (`{"auths": {...}}`) or of the older `.dockercfg`. Undefined: it
 * is not one.
 */
export function parseDockerConfig(text: string): RegistryCredential[] | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const auths = isRecord(json) && 'auths' in json ? json['auths'] : json
  if (!isRecord(auths)) return undefined
  return Object.entries(auths).flatMap(([registry, entry]) => {
    const credential = isRecord(entry) ? credentialOf(entry) : undefined
    return credential ? [{ registry: plainRegistry(registry), ...credential }] : []
  })
}

/**
 * Those that fit an image (`docker.io/team/web:1`), the most specific first, as kubelet's keyring: a
 * host may have `*` for a label, a path must be a prefix.
 */
export function credentialsFor(
  reference: string,
  all: readonly RegistryCredential[],
): RegistryCredential[] {
  return all
    .filter(({ registry }) => fits(registry, reference))
    .toSorted((a, b) => b.registry.length - a.registry.length)
}

function credentialOf(entry: Record<string, unknown>): Credential | undefined {
  const { username, password, auth } = entry
  if (typeof username === 'string' && typeof password === 'string' && username !== '') {
    return { username, password }
  }
  if (typeof auth !== 'string') return undefined
  const plain = Buffer.from(auth, 'base64').toString()
  const colon = plain.indexOf(':')
  if (colon < 0) return undefined
  return { username: plain.slice(0, colon), password: plain.slice(colon + 1) }
}

/** Without scheme, API version and closing slash. */
function plainRegistry(registry: string): string {
  const plain = registry.replace(/^https?:\/\//, '').replace(/\/+$/, '')
  return HUB.test(plain) ? 'docker.io' : plain.replace(/\/v[12]$/, '')
}

function fits(registry: string, reference: string): boolean {
  const [host = '', ...path] = registry.split('/')
  const [imageHost = '', ...imagePath] = reference.split('/')
  if (!hostFits(host, imageHost)) return false
  return path.length === 0 || imagePath.join('/').startsWith(path.join('/'))
}

function hostFits(pattern: string, host: string): boolean {
  const [name = '', port] = pattern.split(':')
  const [hostName = '', hostPort] = host.split(':')
  if (port !== hostPort) return false
  const labels = name.split('.')
  const hostLabels = hostName.split('.')
  if (labels.length !== hostLabels.length) return false
  return labels.every((label, index) => {
    const pieces = label.split('*').map((piece) => piece.replace(/[^\w-]/g, ''))
    return new RegExp(`^${pieces.join('.*')}$`).test(hostLabels[index] ?? '')
  })
}
