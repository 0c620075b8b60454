// The emulated Compute Engine: everything of this folder put together behind one HTTP app that
// Google's own client library and gcloud talk to, under /compute/v1/projects/<project>/.

import { Hono } from 'hono'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { addAddressRoutes } from './addresses.ts'
import { loopbackPlan, readdress, type AddressPlan } from './address-plan.ts'
import { createAuditLog, type LogEntry } from './audit-log.ts'
import { addAutoscalerRoutes } from './autoscalers.ts'
import { addBackendServiceRoutes } from './backend-services.ts'
import type { Context, Quotas } from './context.ts'
import { createMemoryMedia, type DiskMedia } from './disk-media.ts'
import { createDisks } from './disks.ts'
import { createOpenFirewall, type VpcFirewall } from './firewall-force.ts'
import { addFirewallRoutes, seedFirewalls } from './firewalls.ts'
import { addForwardingRuleRoutes } from './forwarding-rules.ts'
import { addGlobalForwardingRuleRoutes } from './global-forwarding-rules.ts'
import { GoogleError, resourceNotFound } from './google-error.ts'
import { createGroupLoop } from './group-loop.ts'
import { addHealthCheckRoutes } from './health-checks.ts'
import { createHealthChecker, isPoweredOn } from './health-checker.ts'
import { addHttpBackendServiceRoutes } from './http-backend-services.ts'
import { createHttpBalancers, type HttpBalancers } from './http-balancers.ts'
import { addInstanceGroupManagerRoutes } from './instance-group-managers.ts'
import { addInstanceTemplateRoutes } from './instance-templates.ts'
import { createInstances } from './instances.ts'
import {
  createLoadBalancers,
  isOutOfService,
  type BalancerDeps,
  type Listener,
  type LoadBalancers,
} from './load-balancer.ts'
import type { Machines } from './machines.ts'
import { addEndpointGroupRoutes } from './network-endpoint-groups.ts'
import { createOperations } from './operations.ts'
import { addPlaceRoutes, REGIONS, ZONES } from './places.ts'
import { createPower } from './power.ts'
import { addSslCertificateRoutes } from './ssl-certificates.ts'
import { emptyState, type ComputeState } from './state.ts'
import { addTargetProxyRoutes } from './target-proxies.ts'
import { addUrlMapRoutes } from './url-maps.ts'
import { createVmFaults, type VmFaults } from './vm-faults.ts'
import { endpointAddress, type Vpc } from './vpc.ts'

export interface ComputeEmulatorOptions {
  project: string
  projectNumber?: string
  clock: Clock
  log: Log
  machines: Machines
  /** What disks are made of; default: nothing. */
  media?: DiskMedia
  vpc: Vpc
  /** Takes audit and health-check log entries to the signals topic. */
  publish(entry: LogEntry): Promise<void>
  /** What `save` answered before. Anything else is put aside, saying so. */
  saved?: unknown
  /** Called after each change that `save` would show. */
  onChange?: () => void
  quotas?: Partial<Quotas>
  /** Default: loopback's, with load balancers on 127.0.1. */
  plan?: AddressPlan
  /** Default: listeners of this process. */
  createBalancers?: (deps: BalancerDeps) => LoadBalancers
  /** Default: nobody holds packets back. */
  createFirewall?: (ctx: Context) => VpcFirewall
  shutdownGraceMs?: number
}

export interface ComputeEmulator extends VmFaults {
  /** Serves /compute/v1/projects/<project>/… */
  app: Hono
  /** Powers on what ran when the state was saved, and keeps groups and load balancers from now on. */
  start(): Promise<void>
  /** Everything as JSON. */
  save(): ComputeState
  /** Where load balancers listen on this machine. */
  listeners(): Listener[]
  /** Ends VMs, listeners and loops; the state stays as it is, for the next start. */
  close(): Promise<void>
}

/** Google's is 30 s for Spot VMs and 120 s for others; nobody waits for two minutes at a desk. */
const SHUTDOWN_GRACE_MS = 30_000
const DEFAULT_QUOTAS: Quotas = { INSTANCES: 200, CPUS: 1000, STATIC_ADDRESSES: 100 }

export function createComputeEmulator(options: ComputeEmulatorOptions): ComputeEmulator {
  const { project, clock, log, machines, vpc } = options
  const plan = options.plan ?? loopbackPlan('127.0.1')
  const state = restored(options, plan)
  let isClosed = false
  const changed = (): void => {
    if (!isClosed) options.onChange?.()
  }
  const scopes = { zones: ZONES, regions: REGIONS }
  const operations = createOperations({ project, state, clock, log, scopes, changed })
  const projectNumber = options.projectNumber ?? '123456789012'
  const quotas = { ...DEFAULT_QUOTAS, ...options.quotas }
  const ctx: Context = {
    project,
    projectNumber,
    state,
    clock,
    log,
    operations,
    quotas,
    plan,
    shortage: undefined,
    flapping: new Set(),
    changed,
  }
  seedFirewalls(ctx, !hasFirewalls(options.saved))
  const firewall = (options.createFirewall ?? createOpenFirewall)(ctx)
  const guard = (): void => {
    firewall.refresh().catch((error: unknown) => {
      if (!isClosed) log.error('the firewall is not what it should be', { error })
    })
  }
  const audit = createAuditLog(ctx, (entry) => {
    if (isClosed) return
    options.publish(entry).catch((error: unknown) => {
      // As with Google's log sinks: an entry may be lost, the sweep finds out.
      log.warn('a log entry was not published', { error })
    })
  })
  const shutdownGraceMs = options.shutdownGraceMs ?? SHUTDOWN_GRACE_MS
  const power = createPower({ ctx, machines, vpc, audit, shutdownGraceMs })
  const instances = createInstances(ctx, power, audit)
  const disks = createDisks(ctx, options.media ?? createMemoryMedia())
  const loop = createGroupLoop({ ctx, instances, power, audit })
  const checker = createHealthChecker({ ctx, vpc, audit })
  const { healthOf } = checker
  const balancers = (options.createBalancers ?? createLoadBalancers)({ ctx, vpc, healthOf })
  const http = createHttpBalancers({ ctx, addressOf: endpointAddress(vpc) })
  const refreshHttp = (): void => {
    http.refresh().catch((error: unknown) => {
      if (!isClosed) log.error('the HTTP load balancers could not be changed', { error })
    })
  }
  vpc.onChange(refreshHttp)

  power.onRemoved((instance) => disks.forget(instance))
  const balanceAnew = (): void => {
    checker.refresh()
    balancers.balance()
    refreshHttp()
  }
  power.onChange((path) => {
    guard()
    balanceAnew()
    if (!isPoweredOn(state.instances[path])) balancers.dropConnections(path)
  })
  checker.onChange((path, to) => {
    balancers.balance()
    if (isOutOfService(to)) balancers.endConnections(path)
  })

  const routes = new Hono()
  operations.routes(routes)
  addPlaceRoutes(routes, ctx)
  instances.routes(routes)
  disks.routes(routes)
  addInstanceTemplateRoutes(routes, ctx)
  addInstanceGroupManagerRoutes(routes, { ctx, loop, healthOf })
  addAutoscalerRoutes(routes, ctx)
  addHealthCheckRoutes(routes, ctx, () => {
    checker.refresh()
    refreshHttp()
  })
  addAddressRoutes(routes, ctx)
  addFirewallRoutes(routes, ctx, () => firewall.refresh())
  addBackendServiceRoutes(routes, ctx, healthOf, balanceAnew)
  addForwardingRuleRoutes(routes, ctx, balancers.refresh)
  addHttpRoutes(routes, ctx, http)

  return {
    app: createApp(project, routes, log),
    async start() {
      operations.finishInterrupted()
      await disks.restore()
      await firewall.refresh()
      await Promise.all([
        balancers.refresh(),
        http.refresh(),
        ...Object.keys(state.instances).map((path) => resume(path)),
      ])
      loop.poke()
      checker.refresh()
    },
    save: () => structuredClone(state),
    listeners: () => [
      ...balancers.listeners(),
      ...http.listeners().map((listener) => ({ region: 'global', ...listener })),
    ],
    ...createVmFaults(ctx, machines, power),
    async close() {
      isClosed = true
      loop.close()
      checker.close()
      await balancers.close()
      await http.close()
      await machines.close()
    },
  }

  /** A VM goes on where the last run left it. */
  async function resume(path: string): Promise<void> {
    const instance = state.instances[path]
    if (!instance || instance.status === 'TERMINATED') return
    if (instance.status === 'STOPPING') {
      instance.status = 'TERMINATED'
      return
    }
    await power.boot(path).catch((error: unknown) => {
      log.error('a VM does not come back', { instance: instance.name, error })
    })
  }
}

/** What older versions saved has none: it gets those that every network has. */
function hasFirewalls(saved: unknown): boolean {
  return typeof saved === 'object' && saved !== null && 'firewalls' in saved
}

/** What an external Application Load Balancer is made of. */
function addHttpRoutes(routes: Hono, ctx: Context, http: HttpBalancers): void {
  addSslCertificateRoutes(routes, ctx)
  addEndpointGroupRoutes(routes, ctx, http.healthOf, http.refresh)
  addHttpBackendServiceRoutes(routes, ctx, http.healthOf, http.refresh)
  addUrlMapRoutes(routes, ctx, http.refresh)
  addTargetProxyRoutes(routes, ctx, http.refresh)
  addGlobalForwardingRuleRoutes(routes, ctx, http.refresh)
}

function createApp(project: string, routes: Hono, log: Log): Hono {
  const app = new Hono()
  app.route(`/compute/v1/projects/${project}`, routes)
  app.all('/compute/*', (c) => {
    const path = c.req.path.replace(/^\/compute\/v1\//, '')
    // Never 501: clients would try again for half a minute.
    return c.json(resourceNotFound(path).toJSON(), 404)
  })
  app.onError((error, c) => {
    if (error instanceof GoogleError) return c.json(error.toJSON(), error.code)
    log.error('the Compute emulator broke', { path: c.req.path, error })
    return c.json(new GoogleError('internalError', 'Internal error.').toJSON(), 500)
  })
  return app
}

/** What was saved may be of VMs of another kind, or of another slot: its addresses follow. */
function restored({ saved, log }: ComputeEmulatorOptions, plan: AddressPlan): ComputeState {
  const state = emptyState()
  if (saved === undefined || saved === null) return { ...state, plan }
  // What an older version did not know of is empty.
  const isOurs = typeof saved === 'object' && 'operations' in saved
  const whole: unknown = isOurs ? { ...state, ...saved } : saved
  if (!isState(whole, state)) {
    log.warn('the saved state of Compute Engine is not understood: it starts empty')
    return { ...state, plan }
  }
  const old = whole.plan ?? loopbackPlan('127.0.1')
  // On loopback an address that another emulator has is served elsewhere, and stays what it is.
  const stays = old.host === plan.host
  return { ...(stays ? structuredClone(whole) : readdress(whole, old, plan)), plan }
}

/** The same fields of the same types: what an older or newer version saved may differ. */
function isState(saved: unknown, like: ComputeState): saved is ComputeState {
  if (typeof saved !== 'object' || saved === null) return false
  const found = new Map<string, unknown>(Object.entries(saved))
  return Object.entries(like).every(([key, value]) => typeof found.get(key) === typeof value)
}
