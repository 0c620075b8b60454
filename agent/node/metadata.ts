// Asks the VM's metadata server who this machine is, and for identity tokens that prove it.
// https://cloud.google.com/compute/docs/metadata/overview

import { VM_METADATA } from '#shared/api/agent-wire.ts'
import type { Taint } from '#shared/api/node.ts'
import { isRecord } from '../json.ts'

/** What this machine is and was told by its instance template. */
export interface VmFacts {
  name: string
  /** Google's numeric id as text. */
  id: string
  zone: string
  project: string
  machineType: string
  ip: string
  externalIp: string
  podRange: string
  cluster: string
  apiUrl: string
  apiCa: string
  audience: string
  agentToken: string
  pubsubProject: string
  nodeLabels: Record<string, string>
  nodeTaints: Taint[]
}

export interface Metadata {
  /** One value; undefined when it is not there. */
  get(path: string): Promise<string | undefined>
  facts(): Promise<VmFacts>
}

const TIMEOUT_MS = 5000

/** `host`: `metadata.google.internal`, or what GCE_METADATA_HOST says. */
export function openMetadata(host: string): Metadata {
  const get = async (path: string): Promise<string | undefined> => {
    const response = await fetch(`http://${host}/computeMetadata/v1/${path}`, {
      headers: { 'Metadata-Flavor': 'Google' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const text = await response.text()
    if (response.status === 404) return undefined
    if (!response.ok) throw new Error(`metadata server: ${response.status} for ${path}`)
    return text
  }
  const need = async (path: string): Promise<string> => {
    const value = await get(path)
    if (!value) throw new Error(`the metadata server has no ${path}`)
    return value
  }
  const attribute = async (key: string): Promise<string> =>
    (await get(`instance/attributes/${key}`)) ?? ''
  return {
    get,
    async facts() {
      const project = (await get('project/project-id')) ?? ''
      return {
        name: await need('instance/name'),
        id: await need('instance/id'),
        zone: last(await need('instance/zone')),
        project,
        machineType: last((await get('instance/machine-type')) ?? 'e2-medium'),
        ip: await need('instance/network-interfaces/0/ip'),
        externalIp: (await get('instance/network-interfaces/0/access-configs/0/external-ip')) ?? '',
        podRange: await need('instance/network-interfaces/0/ip-aliases/0'),
        cluster: await need(`instance/attributes/${VM_METADATA.cluster}`),
        apiUrl: await need(`instance/attributes/${VM_METADATA.apiUrl}`),
        apiCa: await attribute(VM_METADATA.apiCa),
        audience: await attribute(VM_METADATA.audience),
        agentToken: await attribute(VM_METADATA.agentToken),
        pubsubProject: (await attribute(VM_METADATA.pubsubProject)) || project,
        nodeLabels: parseLabels(await attribute(VM_METADATA.nodeLabels)),
        nodeTaints: parseTaints(await attribute(VM_METADATA.nodeTaints)),
      }
    },
  }
}

/** Identity tokens for an audience: one is kept until shortly before it ends. */
export function createIdentity(
  metadata: Metadata,
  audience: string,
  now: () => number,
): { token(): Promise<string>; forget(): void } {
  let current: { token: string; refreshAt: number } | undefined
  return {
    async token() {
      if (current && now() < current.refreshAt) return current.token
      const query = `audience=${encodeURIComponent(audience)}&format=full`
      const token = await metadata.get(`instance/service-accounts/default/identity?${query}`)
      if (!token) throw new Error('the metadata server gives no identity token')
      current = { token: token.trim(), refreshAt: refreshTime(token, now()) }
      return current.token
    },
    forget: () => void (current = undefined),
  }
}

const MARGIN_MS = 300_000
const UNKNOWN_MS = 60_000

/** Five minutes before the token ends, but not before half of its life is over. */
function refreshTime(token: string, now: number): number {
  const claims = parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  if (!isRecord(claims) || typeof claims['exp'] !== 'number') return now + UNKNOWN_MS
  const life = claims['exp'] * 1000 - now
  return now + Math.max(life - MARGIN_MS, life / 2)
}

function parseLabels(text: string): Record<string, string> {
  const json = parseJson(text)
  if (!isRecord(json)) return {}
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, String(value)]))
}

function parseTaints(text: string): Taint[] {
  const json = parseJson(text)
  if (!Array.isArray(json)) return []
  return json.filter(isRecord).flatMap(({ key, value, effect }): Taint[] => {
    const isEffect =
      effect === 'NoSchedule' || effect === 'PreferNoSchedule' || effect === 'NoExecute'
    if (typeof key !== 'string' || !isEffect) return []
    return [{ key, effect, ...(typeof value === 'string' ? { value } : {}) }]
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `projects/1/zones/us-central1-a` → `us-central1-a`. */
function last(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
