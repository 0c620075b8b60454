// Brings the whole system up on one machine: backend, Google's side, control plane, endpoints. The
// composition of the second body; emulator/main.ts adds the terminal and the example.

import { join } from 'node:path'
import { PassThroughClient } from 'google-auth-library'
import type { ComputeConnection } from '#functions/adapters/compute-connection.ts'
import { createComputeLook } from '#functions/adapters/compute-look.ts'
import { createGoogleCompute } from '#functions/adapters/google-compute.ts'
import { createGoogleHttpBalancers } from '#functions/adapters/google-http-balancers.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { createUpgrade } from '#functions/api/exec-upgrade.ts'
import { CLUSTER_LABEL } from '#functions/cloud/wishes.ts'
import { createLiveViews } from '#functions/cluster/create-live-views.ts'
import type { LiveViews } from '#functions/cluster/live-view.ts'
import {
  composeApi,
  composeCloud,
  composeDeploys,
  composeReconcile,
  composeSignals,
  composeSweep,
  composeWebhook,
  type ApiOptions,
  type Ports,
} from '#functions/compose.ts'
import { createGke } from '#functions/gke/app.ts'
import { listClusters } from '#functions/clusters/fleet.ts'
import type { GkeDeps } from '#functions/gke/service.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Log } from '#shared/ports/log.ts'
import type { VmLook } from '#shared/ports/vm-look.ts'
import { createFileLog } from './adapters/file-log.ts'
import { createProcessTimers } from './adapters/process-timers.ts'
import { openBackend, type Backend } from './backend.ts'
import { openCloudSide, type CloudSide } from './cloud-side.ts'
import type { Listener } from './compute/load-balancer.ts'
import { createClusterEndpoints, type ClusterEndpoints } from './cluster-endpoints.ts'
import { localAgents, localAuthentication, localProbes } from './control-plane.ts'
import { startDeliveries } from './deliveries.ts'
import type { FaultPod } from './faults.ts'
import { createOutage, HOLD_MS, type Outage } from './outage.ts'
import { createLocalGithub, type LocalGithub } from './github/local-github.ts'
import { createIdentitySigner, type IdentitySigner } from './google/identity.ts'
import type { Home } from './home.ts'
import { createKeeper, type Keeper } from './keeper.ts'
import type { Terminal } from './terminal.ts'
import { createAuthority, type Authority } from './tls.ts'

export interface LocalOptions {
  home: Home
  /** The repository: where the agent and the examples are. */
  root: string
  env: Readonly<Record<string, string | undefined>>
  terminal: Terminal
}

export interface Local {
  backend: Backend
  cloud: CloudSide
  endpoints: ClusterEndpoints
  gke: GkeDeps
  views: LiveViews
  authority: Authority
  adminToken: string
  log: Log
  /** Clusters that were there from before. */
  restored: number
  /** How a browser on this machine opens a load balancer's address and port. */
  urlOfAddress(address: string, port: number): string | undefined
  /** Saves and ends everything that was started, VMs first. */
  stop(): Promise<void>
}

export const PROJECT = 'demo-wherry'
export const ZONE = 'us-east1-c'
const REGION = 'us-east1'
/** A person waits for the API: better a 503 that says when to come again. */
const API_DEADLINE_MS = 4000
/** The shortest interval that Google's health checks allow. */
/** The emulated balancer knows at once; requests under way have this long. */
const PROPAGATION_SECONDS = 1
const HEALTH_CHECK_SECONDS = 1
const AUDIENCE = 'https://wherry.local'
const FIRST_CLUSTER_PORT = 16_443

/** Ends in the order given, whatever one of them does; the first failure is thrown in the end. */
class Ends {
  readonly #ends: (() => Promise<void> | void)[] = []

  add(end: () => Promise<void> | void): void {
    this.#ends.unshift(end)
  }

  async run(): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#ends.splice(0)) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

/** Starts everything. What was started already is ended when a later part fails. */
export async function startLocal(options: LocalOptions): Promise<Local> {
  const ends = new Ends()
  try {
    return await start(options, ends)
  } catch (error) {
    await ends.run().catch(() => undefined)
    throw error
  }
}

async function start({ home, root, env, terminal }: LocalOptions, ends: Ends): Promise<Local> {
  const clock = createSystemClock()
  const log = createFileLog({ path: home.path('wherry.log'), clock })
  const backend = await terminal.step('data and messages', async (note) => {
    const opened = await openBackend({ project: PROJECT, dir: home.path('logs'), clock, log, env })
    ends.add(() => opened.stop())
    note(opened.summary)
    return opened
  })
  const identity = await createIdentitySigner(home.path('identity.key'))
  const authority = await createAuthority(home.dir)
  const views = createLiveViews({ store: backend.store, clock, log, deadlineMs: API_DEADLINE_MS })
  ends.add(() => views.close())

  const parts: {
    gke?: ReturnType<typeof createGke>
    github?: LocalGithub
    compute?: () => unknown
    changed?: () => void
  } = {}
  const keeper = createKeeper({
    views,
    clock,
    log,
    file: home.path('state.json'),
    saveCompute: () => parts.compute?.(),
  })
  const restored = await terminal.step('state of last time', async (note) => {
    const found = await keeper.restore()
    note(['none', '1 cluster'][found.clusters] ?? `${found.clusters} clusters`)
    return found
  })
  const adminToken = home.secret('admin-token')
  const outage = createOutage()
  const cloud = await terminal.step('virtual machines', async (note) => {
    const opened = await openCloudSide({
      project: PROJECT,
      dir: home.dir,
      portFile: home.path('gcloud-port'),
      agent: { program: join(root, 'agent/main.ts'), images: [join(root, 'examples')] },
      cache: join(root, 'node_modules/.cache/wherry'),
      env,
      pubsubHost: backend.pubsubHost,
      bus: backend.bus,
      identity,
      clock,
      log,
      saved: restored.compute,
      outage,
      adminToken,
      pods: () => podsOfAll(views),
      onChange: () => keeper.changed(),
      rest: () => {
        const { gke, github } = parts
        if (!gke || !github) throw new Error('the GKE API is not up yet')
        return {
          fetch: (request) =>
            github.isAbout(request) ? github.app.fetch(request) : outage.app(gke).fetch(request),
        }
      },
    })
    note(opened.host.kind === 'docker' ? 'a Docker Engine in each' : 'processes')
    return opened
  })
  ends.add(() => cloud.stop())
  parts.compute = () => cloud.compute.save()
  const connection: ComputeConnection = {
    project: PROJECT,
    clock,
    endpoint: { host: '127.0.0.1', port: cloud.port, protocol: 'http' },
    authClient: new PassThroughClient(),
  }
  const vms = createComputeLook({
    project: PROJECT,
    label: CLUSTER_LABEL,
    url: `http://127.0.0.1:${cloud.port}`,
    authClient: new PassThroughClient(),
  })
  const compute = createGoogleCompute({ ...connection, region: REGION })
  ends.add(() => compute.close())
  const httpBalancers = createGoogleHttpBalancers(connection)
  ends.add(() => httpBalancers.close())
  const timers = createProcessTimers({ clock, bus: backend.bus })
  ends.add(() => timers.close())
  const { store, bus } = backend
  const { disks } = compute
  const ports: Ports = { store, bus, timers, compute, disks, httpBalancers, clock, log }
  const endpoints = openApi({
    ports,
    views,
    backend,
    cloud,
    authority,
    identity,
    home,
    adminToken,
    outage,
  })
  ends.add(() => endpoints.close())
  const github = createLocalGithub({
    clock,
    adminToken,
    origin: () => cloud.url,
    file: home.path('github.json'),
    webhook: composeWebhook(ports, views),
  })
  parts.github = github
  const gke: GkeDeps = { ...ports, views, access: (cluster) => endpoints.access(cluster) }
  parts.gke = createGke({
    ...gke,
    log,
    project: PROJECT,
    authenticate: localAuthentication({
      project: PROJECT,
      adminToken,
      audience: AUDIENCE,
      identity,
      views,
    }),
  })
  await terminal.step('control plane', async (note) => {
    await endpoints.start()
    ends.add(
      await startDeliveries({
        ...ports,
        project: PROJECT,
        pubsubHost: backend.pubsubHost,
        ...functionsOf(ports, { endpoints, authority, outage, vms }),
        deploys: outage.fn(
          composeDeploys(ports, {
            githubUrl: github.urlOf,
            urlOfAddress: (address, port) => urlOf(cloud.compute.listeners(), address, port),
            agentEndpoint: (deployViews) => localAgents(deployViews, cloud.vpc),
          }),
          HOLD_MS,
        ),
      }),
    )
    // What waits for the end of an outage would keep its function from ending.
    ends.add(() => void outage.end())
    await cloud.compute.start()
    await keep(keeper, ends)
    note('api, reconcile, cloud, deploys, signals, sweep')
  })
  return {
    backend,
    cloud,
    endpoints,
    gke,
    views,
    authority,
    adminToken,
    log,
    restored: restored.clusters,
    urlOfAddress: (address, port) => urlOf(cloud.compute.listeners(), address, port),
    stop: () => ends.run(),
  }
}

async function keep(keeper: Keeper, ends: Ends): Promise<void> {
  await keeper.start()
  ends.add(() => keeper.stop())
}

/** Of every cluster, for faults that name one. */
async function podsOfAll(views: LiveViews): Promise<FaultPod[]> {
  const clusters = await listClusters({ views })
  const readers = await Promise.all(
    clusters.map(async ({ metadata }) => (await views.open(metadata.name)).catchUp()),
  )
  return readers
    .flatMap((reader) => reader.list('pods') as readonly Pod[])
    .map(({ metadata, spec }) => ({
      namespace: metadata.namespace ?? '',
      name: metadata.name,
      hostname: spec.hostname ?? metadata.name,
      node: spec.nodeName,
    }))
}

function openApi(parts: {
  ports: Ports
  views: LiveViews
  backend: Backend
  cloud: CloudSide
  authority: Authority
  identity: IdentitySigner
  home: Home
  adminToken: string
  outage: Outage
}): ClusterEndpoints {
  const { ports, views, identity, adminToken, outage } = parts
  const authenticate = localAuthentication({
    project: PROJECT,
    adminToken,
    audience: AUDIENCE,
    identity,
    views,
  })
  const options: ApiOptions = {
    views,
    authenticate,
    probes: localProbes({ ...parts, ...ports }),
    agentEndpoint: localAgents(views, parts.cloud.vpc),
    route: ({ host, path }) => {
      const cluster = endpoints.clusterOf(host)
      return cluster ? { cluster, path } : undefined
    },
  }
  const endpoints = createClusterEndpoints({
    app: outage.app(composeApi(ports, options)),
    onUpgrade: outage.upgrade(createUpgrade({ ...ports, ...options })),
    authority: parts.authority,
    views,
    log: ports.log,
    file: parts.home.path('endpoints.json'),
    firstPort: FIRST_CLUSTER_PORT,
    vmHost: parts.cloud.plan.host,
    expose: parts.cloud.host.expose,
  })
  return endpoints
}

function functionsOf(
  ports: Ports,
  {
    endpoints,
    authority,
    outage,
    vms,
  }: { endpoints: ClusterEndpoints; authority: Authority; outage: Outage; vms: VmLook },
): Pick<Parameters<typeof startDeliveries>[0], 'reconcile' | 'cloud' | 'signals' | 'sweep'> {
  return {
    reconcile: outage.fn(composeReconcile(ports), HOLD_MS),
    cloud: outage.fn(
      composeCloud(ports, {
        region: REGION,
        healthCheckIntervalSeconds: HEALTH_CHECK_SECONDS,
        propagationSeconds: PROPAGATION_SECONDS,
        apiUrl: (cluster: string) => endpoints.vmUrlOf(cluster) ?? '',
        apiCa: () => authority.certificatePem,
        audience: AUDIENCE,
        pubsubProject: PROJECT,
      }),
      HOLD_MS,
    ),
    signals: outage.fn(composeSignals(ports), HOLD_MS),
    sweep: outage.fn(composeSweep(ports, vms)),
  }
}

/** Where a listener really is; port 80 needs no mention. */
function urlOf(listeners: readonly Listener[], address: string, port: number): string | undefined {
  const listener = listeners.find((each) => each.address === address && each.port === port)
  if (!listener) return undefined
  const { host, hostPort } = listener
  return hostPort === 80 ? `http://${host}` : `http://${host}:${hostPort}`
}
