// `kubectl exec`, `attach` and `port-forward`: a connection that becomes a WebSocket or SPDY/3.1 is
// handed on, byte for byte, to the agent of the pod's node, which speaks those protocols. Hono never
// sees such a request.

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import { notFound, StatusError } from '#shared/status.ts'
import { accessDenied, authorize } from './authorize.ts'
import type { ApiDeps } from './deps.ts'
import { badRequest, errorResponse, unknownPath } from './errors.ts'
import { identify, impersonationOf } from './identify.ts'
import { parseResourcePath } from './request-info.ts'
import { containerOf } from './routes/pod-log.ts'

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** What a client's handshake must keep on its way to the agent. */
const HANDSHAKE = [
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'x-stream-protocol-version',
]
const PROTOCOLS = ['websocket', 'spdy/3.1']
const CONNECT_MS = 10_000

/** The listener for a server's `upgrade` event. */
export function createUpgrade(deps: ApiDeps): UpgradeListener {
  return (request, socket, head) => {
    // Until the agent takes over, a client that leaves is no error of ours.
    socket.on('error', () => socket.destroy())
    void handOver(deps, request, socket, head).catch((error: unknown) =>
      refuse(deps, socket, error),
    )
  }
}

async function handOver(
  deps: ApiDeps,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://api')
  const target = await targetOf(deps, request, url)
  const { upstream, answer, first } = await openUpstream(target, request)
  if (socket.destroyed) {
    upstream.destroy()
    return
  }
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${rawHeaders(answer)}\r\n`)
  if (first.length > 0) socket.write(first)
  if (head.length > 0) upstream.write(head)
  // The end of one direction is sent on; one that breaks takes the other with it.
  void pipeline(socket, upstream).catch(() => socket.destroy())
  void pipeline(upstream, socket).catch(() => upstream.destroy())
}

interface Target {
  url: URL
  token: string
  node: string
}

/** Errors: as for any request; BadRequest when it is no such protocol or nothing to speak it to. */
async function targetOf(deps: ApiDeps, request: IncomingMessage, url: URL): Promise<Target> {
  const {
    cluster,
    path: resourcePath,
    identity,
  } = await identify(deps, {
    host: request.headers.host ?? '',
    path: url.pathname,
    authorization: request.headers.authorization ?? null,
    impersonate: impersonationOf((name) => request.headers[name]?.toString()),
  })
  const info = parseResourcePath(resourcePath)
  if (!info || info.resource !== 'pods' || !info.namespace || !info.name) throw unknownPath()
  const view = await deps.views.open(cluster)
  const reader = await view.catchUp()
  const attributes = { ...info, verb: 'create' }
  const verdict = authorize(identity, attributes, reader)
  if (!verdict.isAllowed) throw accessDenied(identity, attributes, verdict)
  const { upgrade = '' } = request.headers
  const isStream = ['exec', 'attach', 'portforward'].includes(info.subresource)
  if (!isStream || !PROTOCOLS.includes(upgrade.toLowerCase())) {
    throw badRequest(`${info.subresource || info.resource} is not available over ${upgrade}`)
  }
  const pod = reader.get(keyOf('pods', info.namespace, info.name)) as Pod | undefined
  if (!pod) throw notFound('pods', info.name)
  const path = agentPath(pod, info.subresource, url.searchParams.get('container') ?? '')
  const node = pod.spec.nodeName
  if (!node) throw badRequest(`pod ${info.name} does not have a host assigned`)
  const endpoint = await deps.agentEndpoint?.(cluster, node)
  if (!endpoint) throw unreachable(node, 'its agent is not known')
  const agentUrl = new URL(`${endpoint.url.replace(/\/$/, '')}${path}${url.search}`)
  return { url: agentUrl, token: endpoint.token, node }
}

function agentPath(pod: Pod, subresource: string, container: string): string {
  const { namespace = '', name } = pod.metadata
  const parts =
    subresource === 'portforward'
      ? ['portForward', namespace, name]
      : [subresource, namespace, name, containerOf(pod, container)]
  return `/${parts.map(encodeURIComponent).join('/')}`
}

interface Upstream {
  upstream: Duplex
  answer: IncomingMessage
  /** What came in one piece with the answer. */
  first: Buffer
}

function openUpstream({ url, token, node }: Target, from: IncomingMessage): Promise<Upstream> {
  const headers: Record<string, string> = {
    authorization: `Bearer ${token}`,
    connection: 'Upgrade',
  }
  for (const name of HANDSHAKE) {
    const value = from.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const method = from.method ?? 'GET'
    const call = open(url, { method, headers, timeout: CONNECT_MS })
    call.on('timeout', () => call.destroy(new Error(`no answer within ${CONNECT_MS / 1000}s`)))
    call.on('error', (error) => reject(unreachable(node, error.message)))
    call.on('upgrade', (answer, upstream, first) => {
      upstream.setTimeout(0)
      resolve({ upstream, answer, first })
    })
    call.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => reject(badRequest(text.trim() || `the agent refused the command`)))
    })
    call.end()
  })
}

function rawHeaders({ rawHeaders: all }: IncomingMessage): string {
  let text = ''
  for (let index = 0; index + 1 < all.length; index += 2) {
    text += `${all[index]}: ${all[index + 1]}\r\n`
  }
  return text
}

async function refuse(deps: ApiDeps, socket: Duplex, error: unknown): Promise<void> {
  const response = errorResponse(error, deps.log, { method: 'UPGRADE' })
  const body = await response.text()
  socket.end(
    `HTTP/1.1 ${response.status} ${response.statusText || 'Refused'}\r\n` +
      'content-type: application/json\r\nconnection: close\r\n' +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function unreachable(node: string, why: string): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    `the agent of node "${node}" cannot be asked: ${why}`,
  )
}
