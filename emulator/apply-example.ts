// Applies an example's manifests through the HTTP API, as `kubectl apply` does: with kubectl's own
// last-applied annotation, so that a later `kubectl apply` of the same file finds it unchanged.

import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import { kindByGvk } from '#shared/api/catalog.ts'

export interface ApiClient {
  /** Requests the Kubernetes API; resolves with status and parsed body whatever the status. */
  request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
const CREATED = 201
const ALREADY_EXISTS = 409

interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> }
}

/** Creates what is not there yet; answers `deployment.apps/web created` lines. */
export async function applyManifests(client: ApiClient, file: string): Promise<string[]> {
  const lines: string[] = []
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const manifest: unknown = document.toJS()
    if (manifest === null) continue
    if (!isManifest(manifest))
      throw new Error(`${file} holds a document without apiVersion, kind or name`)
    lines.push(await create(client, manifest))
  }
  return lines
}

async function create(client: ApiClient, manifest: Manifest): Promise<string> {
  const [group, version] = splitApiVersion(manifest.apiVersion)
  const kind = kindByGvk(group, version, manifest.kind)
  if (!kind) throw new Error(`no kind ${manifest.kind} in ${manifest.apiVersion}`)
  const namespace = kind.isNamespaced ? (manifest.metadata.namespace ?? 'default') : undefined
  const path = [
    group ? `/apis/${group}/${version}` : `/api/${version}`,
    namespace ? `/namespaces/${namespace}` : '',
    `/${kind.plural}`,
  ].join('')
  const metadata = { ...manifest.metadata, ...(namespace ? { namespace } : {}) }
  const applied = { ...manifest, metadata: { annotations: {}, ...metadata } }
  const { status, body } = await client.request(
    'POST',
    `${path}?fieldManager=kubectl-client-side-apply`,
    {
      ...manifest,
      metadata: {
        ...metadata,
        annotations: {
          ...metadata.annotations,
          [LAST_APPLIED]: `${JSON.stringify(sorted(applied))}\n`,
        },
      },
    },
  )
  const name = `${kind.singular}${group ? `.${group}` : ''}/${metadata.name}`
  if (status === CREATED) return `${name} created`
  if (status === ALREADY_EXISTS) return `${name} unchanged`
  throw new Error(`${name}: ${messageOf(body) ?? `the API answered ${status}`}`)
}

/** With keys in alphabetical order, as Go writes maps: kubectl compares the texts. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, child]) => [key, sorted(child)]))
}

function splitApiVersion(apiVersion: string): [string, string] {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
}

function messageOf(body: unknown): string | undefined {
  return typeof body === 'object' && body !== null && 'message' in body
    ? String(body.message)
    : undefined
}

function isManifest(value: unknown): value is Manifest {
  return (
    typeof value === 'object' &&
    value !== null &&
    'apiVersion' in value &&
    'kind' in value &&
    'metadata' in value &&
    typeof value.metadata === 'object' &&
    value.metadata !== null &&
    'name' in value.metadata
  )
}
