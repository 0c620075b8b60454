// One listener that forwards TCP connections to the backends of a Service's port, in turn. A backend
// that does not answer is passed over before a byte was sent. One that leaves gets no new connection;
// those it has go on until they end.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Address } from './network.ts'
import type { Backend } from './service-ports.ts'

/** Where a backend's address leads; undefined: nowhere. */
export type Resolve = (backend: Backend) => Promise<Address | undefined>

export interface PortProxy {
  readonly address: Address
  setBackends(backends: readonly Backend[], affinitySeconds: number | undefined): void
  /** No new connections. */
  close(): void
}

const DIAL_MS = 3000
/** Client addresses that one listener remembers. */
const AFFINITY_MAX = 10_000

export interface ProxyTools {
  resolve: Resolve
  /** A backend did not answer: what was cached about it is wrong. */
  onFailure(backend: Backend): void
}

/** Opens the listener on a free port of 127.0.0.1. */
export async function openPortProxy(tools: ProxyTools): Promise<PortProxy> {
  const proxy = new Proxy(tools)
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    void proxy.forward(client)
  })
  return { address: await listen(server), ...proxy.handle(server) }
}

async function listen(server: Server): Promise<Address> {
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(0, '127.0.0.1', done)
  })
  server.on('error', () => undefined)
  const { port } = server.address() as AddressInfo
  return { host: '127.0.0.1', port }
}

class Proxy {
  readonly #tools: ProxyTools
  #backends: readonly Backend[] = []
  #affinitySeconds: number | undefined
  /** Not zero, so that the nodes of a cluster do not all begin with the same pod. */
  #turn = Math.floor(Math.random() * 1024)
  readonly #sticky = new Map<string, { backend: string; at: number }>()

  constructor(tools: ProxyTools) {
    this.#tools = tools
  }

  handle(server: Server): Pick<PortProxy, 'setBackends' | 'close'> {
    return {
      setBackends: (backends, affinitySeconds) => {
        this.#backends = backends
        this.#affinitySeconds = affinitySeconds
      },
      close: () => void server.close(),
    }
  }

  async forward(client: Socket): Promise<void> {
    client.on('error', () => client.destroy())
    client.setNoDelay(true)
    const from = client.remoteAddress ?? ''
    for (const backend of this.#order(from)) {
      if (client.destroyed) return
      const upstream = await this.#dial(backend)
      if (!upstream) continue
      this.#remember(from, backend)
      join(client, upstream)
      return
    }
    // What a packet to a Service without endpoints gets: connection refused.
    client.resetAndDestroy()
  }

  async #dial(backend: Backend): Promise<Socket | undefined> {
    // Twice: what was known of it may be old (its container was started again on another port).
    for (let attempt = 0; attempt < 2; attempt++) {
      const at = await this.#tools.resolve(backend).catch(() => undefined)
      const socket = at && (await dial(at))
      if (socket) return socket
      this.#tools.onFailure(backend)
    }
    return undefined
  }

  /** The backends in the order in which they are tried for this client. */
  #order(from: string): Backend[] {
    const backends = this.#backends
    const start = backends.length > 0 ? this.#turn++ % backends.length : 0
    const order = [...backends.slice(start), ...backends.slice(0, start)]
    const sticky = this.#affinitySeconds === undefined ? undefined : this.#sticky.get(from)
    const isFresh = sticky && Date.now() - sticky.at < (this.#affinitySeconds ?? 0) * 1000
    if (!isFresh) return order
    return order.sort((a, b) => rank(a, sticky.backend) - rank(b, sticky.backend))
  }

  #remember(from: string, backend: Backend): void {
    if (this.#affinitySeconds === undefined) return
    this.#sticky.delete(from)
    this.#sticky.set(from, { backend: textOf(backend), at: Date.now() })
    if (this.#sticky.size <= AFFINITY_MAX) return
    const [oldest] = this.#sticky.keys()
    if (oldest !== undefined) this.#sticky.delete(oldest)
  }
}

function dial(at: Address): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ ...at, allowHalfOpen: true, noDelay: true })
    const timer = setTimeout(() => socket.destroy(new Error('timeout')), DIAL_MS)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
    socket.on('error', () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(undefined)
    })
  })
}

function join(client: Socket, upstream: Socket): void {
  upstream.on('error', () => client.resetAndDestroy())
  client.on('error', () => upstream.resetAndDestroy())
  client.on('close', () => upstream.destroy())
  upstream.on('close', () => client.destroy())
  client.pipe(upstream)
  upstream.pipe(client)
}

function rank(backend: Backend, sticky: string): number {
  return textOf(backend) === sticky ? 0 : 1
}

function textOf({ ip, port }: Backend): string {
  return `${ip}:${port}`
}
