// An emulated external Application Load Balancer: listeners, URL maps, probed endpoints. Knows nothing of
// the Compute API; it is told what to be (config.ts), as often as that changes.

import { createServer, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { bindOrElsewhere } from '../bind.ts'
import { contextFor } from './certificates.ts'
import type { BalancerConfig, Frontend, FrontendAt, HealthReport } from './config.ts'
import { EndpointPool } from './endpoints.ts'
import { createForwarder, type Forwarder } from './forward.ts'

export interface HttpBalancer {
  /** Resolves when all of it is in force. */
  apply(config: BalancerConfig): Promise<void>
  listeners(): FrontendAt[]
  health(): HealthReport
  close(): Promise<void>
}

interface Open {
  frontend: Frontend
  server: HttpServer
  sockets: Set<Socket>
  at: { host: string; hostPort: number }
}

/** Google keeps a client's idle connection for ten minutes. */
const KEEP_ALIVE_MS = 610_000

export function createHttpBalancer(onHealth: () => void = () => {}): HttpBalancer {
  const pools = new Map<string, EndpointPool>()
  const open = new Map<string, Open>()
  const forwarder = createForwarder(pools)
  let pending: Promise<void> = Promise.resolve()

  function applyServices({ services }: BalancerConfig): void {
    const wanted = new Map(services.map((service) => [service.name, service]))
    for (const [name, pool] of pools) {
      if (wanted.has(name)) continue
      pool.close()
      pools.delete(name)
    }
    for (const [name, service] of wanted) {
      const pool = pools.get(name)
      if (pool) pool.update(service)
      else pools.set(name, new EndpointPool(service, onHealth))
    }
  }

  async function applyFrontends({ frontends }: BalancerConfig): Promise<void> {
    const wanted = new Map(frontends.map((frontend) => [keyOf(frontend), frontend]))
    for (const [key, one] of open) {
      if (wanted.has(key)) continue
      open.delete(key)
      await closeServer(one)
    }
    for (const [key, frontend] of wanted) {
      const present = open.get(key)
      if (present) present.frontend = frontend
      else open.set(key, await openFrontend(frontend, forwarder))
    }
  }

  return {
    apply(config) {
      applyServices(config)
      pending = pending.catch(() => undefined).then(() => applyFrontends(config))
      return pending
    },
    listeners: () =>
      [...open.values()].map(({ frontend: { rule, address, port }, at }) => ({
        rule,
        address,
        port,
        ...at,
      })),
    health: () => Object.fromEntries([...pools].map(([name, pool]) => [name, pool.health()])),
    async close() {
      await pending.catch(() => {})
      for (const one of open.values()) await closeServer(one)
      for (const pool of pools.values()) pool.close()
    },
  }
}

function keyOf({ rule, address, port, certificates }: Frontend): string {
  return `${rule} ${address} ${port} ${certificates ? 'https' : 'http'}`
}

async function openFrontend(frontend: Frontend, forwarder: Forwarder): Promise<Open> {
  const server = frontend.certificates
    ? createHttpsServer({
        // Asked for at each handshake: certificates change while it listens.
        SNICallback: (host, done) => done(null, contextFor(one.frontend.certificates ?? [], host)),
        ...(frontend.certificates[0] && {
          cert: frontend.certificates[0].certificate,
          key: frontend.certificates[0].privateKey,
        }),
      })
    : createServer()
  const one: Open = { frontend, server, sockets: new Set(), at: { host: '', hostPort: 0 } }
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.requestTimeout = 0
  server.on('request', (req, res) => forwarder.request(one.frontend, req, res))
  server.on('upgrade', (req, socket, head: Buffer) =>
    forwarder.upgrade(one.frontend, req, socket as Socket, head),
  )
  server.on('connection', (socket: Socket) => {
    one.sockets.add(socket)
    socket.once('close', () => one.sockets.delete(socket))
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  one.at = await bindOrElsewhere(server, frontend.address, frontend.port)
  return one
}

/** Upgraded connections too: the server does not count those. */
function closeServer({ server, sockets }: Open): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    for (const socket of sockets) socket.destroy()
  })
}
