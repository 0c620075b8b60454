// Where each cluster's Kubernetes API is on this machine: a TLS port of its own, so that kubectl sees
// plain paths. Ports are remembered, so that a kubeconfig stays good across restarts.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { CLUSTERS, FLEET, type Cluster } from '#shared/api/cluster.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Expose } from './compute/vm-host.ts'
import type { LiveViews } from '#functions/cluster/live-view.ts'
import type { ClusterAccess } from '#functions/gke/wire.ts'
import { serve, type App, type RunningServer, type UpgradeListener } from './serve.ts'
import { issueCertificate, type Authority, type ServerCertificate } from './tls.ts'

interface EndpointsOptions {
  app: App
  onUpgrade?: UpgradeListener
  authority: Authority
  views: LiveViews
  log: Log
  /** Remembers which cluster has which port. */
  file: string
  /** The first cluster's port, when it is free. */
  firstPort: number
  /** Lets VMs reach a port of 127.0.0.1; see VmHost. */
  expose: Expose
  /** At which address they do. */
  vmHost: string
}

export interface ClusterEndpoints {
  /** Listens for the cluster, if nobody does yet. A cluster without id only learns the CA. */
  access(cluster: Cluster): Promise<ClusterAccess>
  /** Listens for all clusters of the fleet and follows it: new ones open, deleted ones close. */
  start(): Promise<void>
  /** Which cluster a request's Host header means. */
  clusterOf(host: string): string | undefined
  /** `https://127.0.0.1:16443`, or undefined when nobody listens. */
  urlOf(clusterId: string): string | undefined
  /** The same for a VM. */
  vmUrlOf(clusterId: string): string | undefined
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const PORTS_TRIED_MAX = 500
const CLOSE_GRACE_MS = 500

export function createClusterEndpoints(options: EndpointsOptions): ClusterEndpoints {
  const { authority, views, log, file } = options
  const ports = readPorts(file)
  const hosts = [...new Set([HOST, 'localhost', '::1', options.vmHost])]
  const exposed = new Map<number, () => void>()
  const servers = new Map<string, Promise<RunningServer>>()
  const byPort = new Map<number, string>()
  let certificate: Promise<ServerCertificate> | undefined
  let stopFollowing: (() => void) | undefined

  function open(cluster: Cluster): Promise<RunningServer> {
    const id = cluster.metadata.name
    const present = servers.get(id)
    if (present) return present
    const opening = listen(cluster)
    servers.set(id, opening)
    opening.catch(() => servers.delete(id))
    return opening
  }

  async function listen(cluster: Cluster): Promise<RunningServer> {
    certificate ??= issueCertificate(authority, hosts)
    const label = labelOf(cluster)
    for (const port of candidates(ports, label, options.firstPort)) {
      if ([...byPort.keys()].includes(port)) continue
      const server = await tryServe(port, await certificate)
      if (!server) continue
      byPort.set(port, cluster.metadata.name)
      exposed.set(port, await options.expose(port))
      ports[label] = port
      writeFileSync(file, JSON.stringify(ports))
      log.info('cluster endpoint', { cluster: cluster.metadata.name, url: server.url })
      return server
    }
    throw new Error(`no free port from ${options.firstPort} on for cluster ${label}`)
  }

  async function tryServe(
    port: number,
    cert: ServerCertificate,
  ): Promise<RunningServer | undefined> {
    const { app, onUpgrade } = options
    try {
      return await serve(app, {
        host: HOST,
        port,
        certificate: cert,
        ...(onUpgrade ? { onUpgrade } : {}),
      })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined
      throw error
    }
  }

  async function follow(): Promise<void> {
    const fleet = (await views.open(FLEET)).current
    const clusters = fleet.list(CLUSTERS) as readonly Cluster[]
    for (const cluster of clusters) await open(cluster)
    const ids = new Set(clusters.map((cluster) => cluster.metadata.name))
    for (const [id, opening] of servers) {
      if (ids.has(id)) continue
      servers.delete(id)
      const server = await opening
      byPort.delete(server.port)
      exposed.get(server.port)?.()
      await server.close(CLOSE_GRACE_MS)
    }
  }

  function urlAt(host: string, id: string): string | undefined {
    const port = [...byPort].find(([, cluster]) => cluster === id)?.[0]
    return port === undefined ? undefined : `https://${host}:${port}`
  }

  return {
    access: async (cluster) => ({
      endpoint: cluster.metadata.name ? `${HOST}:${(await open(cluster)).port}` : '',
      ca: authority.certificatePem,
    }),
    start: async () => {
      const fleet = await views.open(FLEET)
      await fleet.catchUp()
      await follow()
      stopFollowing = fleet.listen(
        () =>
          void follow().catch((error: unknown) => log.error('cannot follow the fleet', { error })),
      )
    },
    clusterOf: (host) => byPort.get(Number(host.slice(host.lastIndexOf(':') + 1))),
    urlOf: (id) => urlAt(HOST, id),
    vmUrlOf: (id) => urlAt(options.vmHost, id),
    close: async () => {
      stopFollowing?.()
      for (const end of exposed.values()) end()
      await Promise.all(
        [...servers.values()].map(async (opening) => (await opening).close(CLOSE_GRACE_MS)),
      )
    },
  }
}

/** A cluster of the same name gets the same port again, whatever its id. */
function labelOf({ spec }: Cluster): string {
  return `${spec.project}/${spec.location}/${spec.displayName}`
}

function candidates(ports: Record<string, number>, label: string, first: number): number[] {
  const remembered = ports[label]
  const taken = new Set(Object.values(ports))
  const free = Array.from({ length: PORTS_TRIED_MAX }, (_, index) => first + index).filter(
    (port) => !taken.has(port),
  )
  return remembered === undefined ? free : [remembered, ...free]
}

function readPorts(file: string): Record<string, number> {
  if (!existsSync(file)) return {}
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof value === 'object' && value !== null ? (value as Record<string, number>) : {}
}
