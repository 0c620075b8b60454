// A throw-away API server for golden tests of what real clients send: it answers discovery for the
// kinds it is given, leaves the rest to the test, and keeps every request.

import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { once } from 'node:events'

export interface ServedKind {
  group: string
  version: string
  kind: string
  plural: string
  isNamespaced: boolean
  subresources?: readonly string[]
}

export interface RecordedRequest {
  method: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  contentType: string
  accept: string
  body: Buffer
}

export interface Answer {
  code: number
  /** An object is sent as JSON. */
  body: unknown
  contentType?: string
}

export interface RecordingServer {
  url: string
  requests: RecordedRequest[]
  close(): Promise<void>
}

/** Starts it on a free loopback port. `answer` says what is not discovery; undefined: 404. */
export async function startRecordingServer(
  kinds: readonly ServedKind[],
  answer: (request: RecordedRequest) => Answer | undefined,
): Promise<RecordingServer> {
  const requests: RecordedRequest[] = []
  const server = createServer((incoming, response) => {
    void (async () => {
      const request = await recorded(incoming)
      requests.push(request)
      const result = answer(request) ?? discovery(request, kinds) ?? NOT_FOUND
      const body = Buffer.isBuffer(result.body) ? result.body : JSON.stringify(result.body)
      response.writeHead(result.code, { 'content-type': result.contentType ?? 'application/json' })
      response.end(body)
    })().catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const NOT_FOUND: Answer = {
  code: 404,
  body: {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'not found',
    reason: 'NotFound',
    code: 404,
  },
}

async function recorded(incoming: IncomingMessage): Promise<RecordedRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk))
  const url = new URL(incoming.url ?? '/', 'http://server')
  return {
    method: incoming.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    contentType: incoming.headers['content-type'] ?? '',
    accept: incoming.headers.accept ?? '',
    body: Buffer.concat(chunks),
  }
}

function discovery(request: RecordedRequest, kinds: readonly ServedKind[]): Answer | undefined {
  if (request.path === '/version') {
    return { code: 200, body: { major: '1', minor: '35', gitVersion: 'v1.35.0' } }
  }
  if (request.path !== '/api' && request.path !== '/apis') return undefined
  const served = kinds.filter((kind) => (kind.group === '') === (request.path === '/api'))
  const groups = new Map<string, Map<string, ServedKind[]>>()
  for (const kind of served) {
    const versions = groups.get(kind.group) ?? new Map<string, ServedKind[]>()
    groups.set(kind.group, versions)
    versions.set(kind.version, [...(versions.get(kind.version) ?? []), kind])
  }
  return {
    code: 200,
    contentType: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
    body: {
      kind: 'APIGroupDiscoveryList',
      apiVersion: 'apidiscovery.k8s.io/v2',
      metadata: {},
      items: [...groups].map(([group, versions]) => ({
        metadata: group ? { name: group } : {},
        versions: [...versions].map(([version, resources]) => ({
          version,
          freshness: 'Current',
          resources: resources.map((kind) => ({
            resource: kind.plural,
            responseKind: { group, version, kind: kind.kind },
            scope: kind.isNamespaced ? 'Namespaced' : 'Cluster',
            singularResource: kind.kind.toLowerCase(),
            verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
            subresources: (kind.subresources ?? []).map((name) => ({
              subresource: name,
              responseKind: { group, version, kind: kind.kind },
              verbs: ['get', 'create', 'patch', 'update'],
            })),
          })),
        })),
      })),
    },
  }
}
