// Serves a Hono app on this machine, over TLS when there is a certificate, and ends gracefully.

import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { ServerCertificate } from './tls.ts'

/** Anything with Hono's fetch. */
export interface App {
  fetch(request: Request): Response | Promise<Response>
}

export interface ServeOptions {
  host: string
  /** 0: a free one. Error: EADDRINUSE when it is taken. */
  port: number
  /** Without it the server speaks plain HTTP. */
  certificate?: ServerCertificate
  /** Gets what asks for another protocol (WebSocket, SPDY); without it such a request is a GET. */
  onUpgrade?: UpgradeListener
}

export interface RunningServer {
  port: number
  /** `https://127.0.0.1:8443`. */
  url: string
  server: HttpServer
  /** No new requests; running ones get `graceMs`, then their connections are cut. */
  close(graceMs?: number): Promise<void>
}

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Listens and answers when it is ready. */
export async function serve(app: App, options: ServeOptions): Promise<RunningServer> {
  // Global Request and Response become the server's own: middleware that copies a request
  // (`new Request(request, …)`) would otherwise fail on bodies without a length.
  const listener = getRequestListener((request) => app.fetch(request))
  const handle = (...args: Parameters<typeof listener>): void => void listener(...args)
  const { certificate } = options
  const server: HttpServer = certificate
    ? createHttpsServer({ key: certificate.keyPem, cert: certificate.certificatePem }, handle)
    : createHttpServer(handle)
  // A watch is one request that lasts for an hour.
  server.requestTimeout = 0
  server.keepAliveTimeout = 60_000
  if (options.onUpgrade) server.on('upgrade', options.onUpgrade)
  await listen(server, options)
  const { port } = addressOf(server)
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    port,
    url: `${certificate ? 'https' : 'http'}://${host}:${port}`,
    server,
    close: (graceMs = 0) => close(server, graceMs),
  }
}

function listen(server: HttpServer, { host, port }: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function addressOf(server: HttpServer): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address
}

function close(server: HttpServer, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}
