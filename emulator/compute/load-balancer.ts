// The passthrough load balancers: each port of a forwarding rule is a real listener on this machine.
// A connection goes to one healthy VM; which pod answers is decided there, as kube-proxy does.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { fnv32 } from '#shared/hash.ts'
import type { HealthState } from './audit-log.ts'
import { managerPathOf } from './backend-services.ts'
import { bindOrElsewhere } from './bind.ts'
import type { Context } from './context.ts'
import { isPoweredOn } from './health-checker.ts'
import { runningMembers } from './instance-group-managers.ts'
import { nameOf, pathOf } from './links.ts'
import type { HealthOf } from './managed-instances.ts'
import type { BackendService, ForwardingRule, Instance } from './state.ts'
import type { Vpc } from './vpc.ts'

/** Where one port of a load balancer can be reached on this machine. */
export interface Listener {
  /** The forwarding rule's name. */
  rule: string
  region: string
  /** What the rule says: `127.0.1.1` and 80. */
  address: string
  port: number
  /** Where it really listens: the same, or a free port of 127.0.0.1 when that cannot be had. */
  host: string
  hostPort: number
}

export interface LoadBalancers {
  /** Something has changed that decides which VMs get traffic: health, power, backends. */
  balance: () => void
  /** Makes the listeners what the forwarding rules say; resolves when they listen. */
  refresh: () => Promise<void>
  listeners: () => Listener[]
  /** A VM is gone: its connections are cut, so that clients connect anew. */
  dropConnections(instance: string): void
  /**
   * A VM is unhealthy: its connections are not kept (NEVER_PERSIST). What clients send goes to other
   * VMs, which know nothing of it; an answer that is on its way already does not come through here
   * and arrives.
   */
  endConnections(instance: string): void
  close(): Promise<void>
}

export interface BalancerDeps {
  ctx: Context
  vpc: Vpc
  healthOf: HealthOf
}

interface Open {
  server: Server
  clients: Set<Socket>
  listener: Listener
}

/** A VM on this machine answers within this, or it does not answer. */
const CONNECT_TIMEOUT_MS = 1000
/** An answer that takes longer needs the client's acknowledgements, and those go astray. */
const LINGER_MS = 1000

export function createLoadBalancers(deps: BalancerDeps): LoadBalancers {
  const { ctx, vpc } = deps
  const { state, log } = ctx
  const open = new Map<string, Open>()
  const connections = new Map<string, Set<Socket>>()
  let turn = 0
  let pending: Promise<void> = Promise.resolve()

  async function refreshNow(): Promise<void> {
    const wanted = new Map<string, { rule: ForwardingRule; port: number }>()
    for (const rule of Object.values(state.forwardingRules)) {
      if (rule.IPProtocol !== 'TCP') {
        log.warn('only TCP is forwarded by emulated load balancers', { rule: rule.name })
        continue
      }
      for (const port of rule.ports) {
        wanted.set(`${rule.id} ${rule.IPAddress} ${port}`, { rule, port: Number(port) })
      }
    }
    for (const [key, one] of open) {
      if (wanted.has(key)) continue
      open.delete(key)
      await closeListener(one)
    }
    for (const [key, { rule, port }] of wanted) {
      if (!open.has(key)) open.set(key, await listen(rule, port))
    }
  }

  async function listen(rule: ForwardingRule, port: number): Promise<Open> {
    const clients = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (client) => {
      clients.add(client)
      client.once('close', () => clients.delete(client))
      client.on('error', () => client.destroy())
      forward(rule, port, client).catch((error: unknown) => {
        log.error('a load balancer broke', { rule: rule.name, error })
        client.destroy()
      })
    })
    const at = await bindOrElsewhere(server, rule.IPAddress, port)
    if (at.hostPort !== port || at.host !== rule.IPAddress) {
      log.warn('a load balancer listens elsewhere: its own address cannot be had', {
        address: `${rule.IPAddress}:${port}`,
        listens: `${at.host}:${at.hostPort}`,
      })
    }
    const region = nameOf(rule.region)
    const listener = { rule: rule.name, region, address: rule.IPAddress, port, ...at }
    return { server, clients, listener }
  }

  async function forward(rule: ForwardingRule, port: number, client: Socket): Promise<void> {
    const service = state.backendServices[pathOf(rule.backendService, 'backendService')]
    const candidates = service ? inTurn(service, client.remoteAddress ?? '') : []
    for (const [path, instance] of candidates) {
      const vmIp = instance.networkInterfaces[0]?.networkIP
      const to = vpc.lookup(`${vmIp}>${rule.IPAddress}:${port}/tcp`)
      const upstream = to ? await tryConnect(to) : undefined
      if (!upstream) continue
      join(path, client, upstream)
      return
    }
    // Nobody listens: what a VM's kernel would answer.
    client.resetAndDestroy()
  }

  /** Healthy VMs in turn. */
  function inTurn(service: BackendService, source: string): [string, Instance][] {
    const chosen = chosenBackends(deps, service)
    const first = service.sessionAffinity === 'NONE' ? turn++ : fnv32(source)
    const from = chosen.length > 0 ? first % chosen.length : 0
    return [...chosen.slice(from), ...chosen.slice(0, from)]
  }

  function join(instance: string, client: Socket, upstream: Socket): void {
    const sockets = connections.get(instance) ?? new Set()
    connections.set(instance, sockets)
    sockets.add(client)
    upstream.on('error', () => client.resetAndDestroy())
    client.on('error', () => upstream.destroy())
    upstream.on('close', () => client.destroySoon())
    client.on('close', () => {
      upstream.destroy()
      sockets.delete(client)
    })
    client.pipe(upstream)
    upstream.pipe(client)
  }

  return {
    refresh() {
      pending = pending.then(refreshNow, refreshNow)
      return pending
    },
    // Who gets a connection is decided when it comes.
    balance() {},
    listeners: () => [...open.values()].map(({ listener }) => listener),
    dropConnections(instance) {
      cut(connections.get(instance))
      connections.delete(instance)
    },
    endConnections(instance) {
      const ended = connections.get(instance)
      connections.delete(instance)
      for (const socket of ended ?? []) socket.once('data', () => socket.resetAndDestroy())
      setTimeout(() => cut(ended), LINGER_MS).unref()
    },
    async close() {
      await pending.catch(() => {})
      for (const one of open.values()) await closeListener(one)
      open.clear()
    },
  }
}

/** Healthy VMs; all of them when none is healthy, as Google's last resort. */
export function chosenBackends(
  { ctx, healthOf }: Pick<BalancerDeps, 'ctx' | 'healthOf'>,
  service: BackendService,
): [string, Instance][] {
  const all = service.backends
    .flatMap((backend) => runningMembers(ctx, managerPathOf(backend.group)))
    .flatMap((path): [string, Instance][] => {
      const instance = ctx.state.instances[path]
      return isPoweredOn(instance) ? [[path, instance]] : []
    })
  const healthy = all.filter(([path]) =>
    service.healthChecks.every((link) => healthOf(pathOf(link, 'check'), path) === 'HEALTHY'),
  )
  return healthy.length > 0 ? healthy : all
}

function cut(sockets: Iterable<Socket> | undefined): void {
  for (const socket of sockets ?? []) socket.resetAndDestroy()
}

/** True for the states in which a passthrough load balancer sends a VM nothing more. */
export function isOutOfService(state: HealthState): boolean {
  return state === 'UNHEALTHY' || state === 'TIMEOUT'
}

function closeListener({ server, clients }: Open): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    for (const client of clients) client.destroy()
  })
}

function tryConnect(to: string): Promise<Socket | undefined> {
  const [host = '', port = ''] = to.split(':')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), allowHalfOpen: true })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve(undefined)
    }, CONNECT_TIMEOUT_MS)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
    socket.once('error', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}
