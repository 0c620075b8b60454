// Hosts exported functions on this machine as Cloud Functions does: each behind functions-framework,
// all of them in one process on one port, `http://127.0.0.1:PORT/NAME`. They share nothing.

import { createServer } from 'node:http'
import { cloudEvent, http } from '@google-cloud/functions-framework'
import { getTestServer } from '@google-cloud/functions-framework/testing'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export interface HttpFunction {
  type: 'http'
  handler: (request: IncomingMessage, response: ServerResponse) => unknown
  /** Gets requests for another protocol (WebSocket, SPDY); without it they are refused. */
  upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Leaves JSON to the framework, which puts the parsed value into `request.body` and answers what is
   * malformed with a page of HTML before the handler is called. Otherwise the handler gets the bytes
   * (`request.rawBody`) whatever they are, as it does for every other type of content.
   */
  isJsonParsed?: boolean
}

export interface EventFunction {
  type: 'cloudEvent'
  /** A rejection is answered with 500: the sender delivers again. */
  handler: (event: unknown) => unknown
}

export interface FunctionsHostOptions<Name extends string> {
  functions: Record<Name, HttpFunction | EventFunction>
  /** Default: a free one. */
  port?: number
}

export interface FunctionsHost<Name extends string> {
  /**
   * Where each function is. A Pub/Sub push needs `/projects/P/topics/T` behind it, or its CloudEvent
   * does not name the topic.
   */
  urls: Record<Name, string>
  close(): Promise<void>
}

interface Hosted {
  definition: HttpFunction | EventFunction
  server: Server
}

const NAME = /^[A-Za-z][\w-]{0,62}$/

/** The framework's registry is one for the process, so that each hosting takes names of its own. */
let registrations = 0

/** Starts to serve the functions on loopback. */
export async function hostFunctions<Name extends string>(
  options: FunctionsHostOptions<Name>,
): Promise<FunctionsHost<Name>> {
  const hosted = new Map<string, Hosted>()
  for (const [name, definition] of entriesOf(options.functions)) {
    if (!NAME.test(name)) throw new Error(`"${name}" is no name for a function`)
    hosted.set(name, { definition, server: frame(name, definition) })
  }
  const server = createServer((request, response) => {
    const found = route(hosted, request)
    if (!found) {
      response.writeHead(404).end('no such function\n')
      return
    }
    const { definition } = found
    if (definition.type === 'http' && !definition.isJsonParsed) hideJson(request)
    found.server.emit('request', request, response)
  })
  // As the framework's own command sets it: a watch is one request that lasts for an hour.
  server.requestTimeout = 0
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const definition = route(hosted, request)?.definition
    if (definition?.type === 'http' && definition.upgrade) {
      definition.upgrade(request, socket, head)
    } else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  const port = await listen(server, options.port ?? 0)
  return {
    urls: urlsOf(options.functions, `http://127.0.0.1:${port}`),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The framework's server around one function; it never listens by itself. */
function frame(name: string, definition: HttpFunction | EventFunction): Server {
  const registered = `${name}-${registrations++}`
  if (definition.type === 'http') http(registered, definition.handler)
  // By its number of parameters the framework tells promises from callbacks.
  else cloudEvent(registered, async (event: unknown) => void (await definition.handler(event)))
  return getTestServer(registered)
}

/** Finds the function of `/NAME/path` and leaves `/path` in the request. */
function route(hosted: Map<string, Hosted>, request: IncomingMessage): Hosted | undefined {
  const [, name = '', rest = ''] = /^\/([\w-]+)([^]*)$/.exec(request.url ?? '') ?? []
  const found = hosted.get(name)
  if (found) request.url = rest.startsWith('/') ? rest : `/${rest}`
  return found
}

/**
 * The framework's JSON parser looks at this header; Hono and whoever reads `rawHeaders` still see
 * what was sent.
 */
function hideJson(request: IncomingMessage): void {
  if (request.headers['content-type']?.startsWith('application/json')) {
    request.headers['content-type'] = 'application/octet-stream'
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      const address = server.address()
      resolve(address && typeof address === 'object' ? address.port : 0)
    })
  })
}

function entriesOf<Name extends string, Value>(record: Record<Name, Value>): [string, Value][] {
  return Object.entries<Value>(record)
}

function urlsOf<Name extends string>(
  functions: Record<Name, unknown>,
  base: string,
): Record<Name, string> {
  const urls: Partial<Record<Name, string>> = {}
  for (const name in functions) urls[name] = `${base}/${name}`
  return urls as Record<Name, string>
}
