// One request on its way: headers as Google sets them, an endpoint, once another one when the first did not
// answer, and Google's pages when nobody does. The bytes are carried by httpxy.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { createProxyServer } from 'httpxy'
import type { Frontend } from './config.ts'
import type { Endpoint, EndpointPool } from './endpoints.ts'
import { BAD_GATEWAY, NO_UPSTREAM, pageOf, TIMED_OUT, type Page } from './pages.ts'
import { choose } from './url-map.ts'

export interface Forwarder {
  request(frontend: Frontend, req: IncomingMessage, res: ServerResponse): void
  upgrade(frontend: Frontend, req: IncomingMessage, socket: Socket, head: Buffer): void
}

const ATTEMPTS_MAX = 2
/** Larger bodies are not kept for a second attempt. */
const KEPT_BODY_MAX = 64 * 1024
/** Google repeats what may be done twice; of other requests only those that never arrived. */
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
const NEVER_ARRIVED = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'])

export function createForwarder(pools: ReadonlyMap<string, EndpointPool>): Forwarder {
  const proxy = createProxyServer({ prependPath: false })
  proxy.on('proxyRes', (response) => {
    // What the endpoint says of its own connection is not for the client.
    delete response.headers.connection
    delete response.headers['keep-alive']
    const { via } = response.headers
    response.headers.via = via ? `${via}, ${VIA}` : VIA
  })

  async function forward(
    frontend: Frontend,
    req: IncomingMessage,
    res: ServerResponse,
  ): Promise<void> {
    const found = poolFor(pools, frontend, req)
    if ('status' in found) return answer(res, found)
    const client = req.socket.remoteAddress ?? ''
    setHeaders(frontend, req)
    const body = await keptBody(req)
    const tried = new Set<string>()
    for (let attempt = 1; ; attempt++) {
      const endpoint = found.pick(client, tried)
      // A second attempt may be at the same one, when it is the only one.
      if (!endpoint && tried.size > 0) return answer(res, BAD_GATEWAY)
      if (!endpoint?.at) return answer(res, NO_UPSTREAM)
      tried.add(endpoint.name)
      const failure = await once(req, res, endpoint, found.timeoutMs, body)
      if (!failure || res.headersSent || res.destroyed) return undefined
      if (failure === 'timeout') return answer(res, TIMED_OUT)
      const isSafe = NEVER_ARRIVED.has(failure) || REPEATABLE.has(req.method ?? '')
      if (attempt >= ATTEMPTS_MAX || body === 'streamed' || !isSafe) return answer(res, BAD_GATEWAY)
      if (!found.pick(client, tried)) tried.clear()
    }
  }

  /** Undefined: it was answered. Otherwise the error's code. */
  async function once(
    req: IncomingMessage,
    res: ServerResponse,
    { at, agent }: Endpoint,
    timeoutMs: number,
    body: Buffer | 'streamed' | 'none',
  ): Promise<string | undefined> {
    const since = Date.now()
    try {
      await proxy.web(req, res, {
        target: { protocol: 'http:', ...at },
        agent,
        proxyTimeout: timeoutMs,
        ...(Buffer.isBuffer(body) ? { buffer: Readable.from(body.length > 0 ? [body] : []) } : {}),
      })
      return undefined
    } catch (error) {
      if (Date.now() - since >= timeoutMs) return 'timeout'
      return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    }
  }

  return {
    request(frontend, req, res) {
      forward(frontend, req, res).catch(() => answer(res, BAD_GATEWAY))
    },
    upgrade(frontend, req, socket, head) {
      socket.on('error', () => socket.destroy())
      const found = poolFor(pools, frontend, req)
      const endpoint =
        'status' in found ? undefined : found.pick(req.socket.remoteAddress ?? '', NONE)
      const page = 'status' in found ? found : NO_UPSTREAM
      if (!endpoint?.at) {
        socket.end(rawAnswer(page))
        return
      }
      setHeaders(frontend, req)
      proxy
        .ws(req, socket, { target: { protocol: 'http:', ...endpoint.at } }, head)
        .catch(() => socket.end(rawAnswer(BAD_GATEWAY)))
    },
  }
}

const VIA = '1.1 google'
const NONE: ReadonlySet<string> = new Set()

function poolFor(
  pools: ReadonlyMap<string, EndpointPool>,
  frontend: Frontend,
  req: IncomingMessage,
): EndpointPool | Page {
  const path = (req.url ?? '/').split('?', 1)[0] ?? '/'
  const choice = choose(frontend.urlMap, req.headers.host ?? '', path)
  if ('status' in choice) return pageOf(choice.status)
  return pools.get(choice.service) ?? NO_UPSTREAM
}

/** https://cloud.google.com/load-balancing/docs/https#x-forwarded-for_header */
function setHeaders(
  { address, certificates }: Frontend,
  { headers, socket }: IncomingMessage,
): void {
  const client = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  const before = headers['x-forwarded-for']
  headers['x-forwarded-for'] = `${before ? `${String(before)},` : ''}${client},${address}`
  headers['x-forwarded-proto'] = certificates ? 'https' : 'http'
  headers.via = headers.via ? `${headers.via}, ${VIA}` : VIA
  headers['x-cloud-trace-context'] ??=
    `${randomBytes(16).toString('hex')}/${randomBytes(6).readUIntBE(0, 6)}`
  const isUpgrade = headers.upgrade !== undefined
  if (isUpgrade) return
  delete headers.connection
  delete headers['keep-alive']
}

/** A short body is read, so that it can be sent twice. */
async function keptBody(req: IncomingMessage): Promise<Buffer | 'streamed' | 'none'> {
  const length = req.headers['content-length']
  if (req.headers['transfer-encoding']) return 'streamed'
  if (length === undefined || length === '0') return 'none'
  if (Number(length) > KEPT_BODY_MAX || req.headers.expect) return 'streamed'
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function answer(res: ServerResponse, { status, contentType, body }: Page): void {
  if (res.headersSent || res.destroyed) {
    res.destroy()
    return
  }
  res.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    via: VIA,
  })
  res.end(res.req.method === 'HEAD' ? undefined : body)
}

function rawAnswer({ status, contentType, body }: Page): string {
  const length = Buffer.byteLength(body)
  return `HTTP/1.1 ${status} Error\r\ncontent-type: ${contentType}\r\ncontent-length: ${length}\r\nvia: ${VIA}\r\nconnection: close\r\n\r\n${body}`
}
