// What an HTTP balancer's backends are made of on Compute Engine: global health checks, zonal network endpoint
// groups, global backend services. All are listed once and only what differs is asked for, because a
// cluster may have a hundred of each.

import type { protos } from '@google-cloud/compute'
import { isEqual } from '#shared/equal.ts'
import type { HttpBackendSpec, HttpBalancerSpec } from '#shared/ports/http-balancers.ts'
import { lastPart, type ComputeCalls } from './compute-calls.ts'
import type { ComputeClients } from './compute-clients.ts'
import { unlessGone, unlessThere } from './compute-groups.ts'

export interface HttpContext {
  project: string
  clients: ComputeClients
  calls: ComputeCalls
  /** `global/networks/default`. */
  network: string
}

type Service = protos.google.cloud.compute.v1.IBackendService
type Check = protos.google.cloud.compute.v1.IHealthCheck

/** What there is, by name (and zone). */
export interface Present {
  services: Map<string, Service>
  checks: Map<string, Check>
  groups: { name: string; zone: string }[]
  certificates: string[]
}

/** Calls at the same time: Google allows 25 requests a second to a project's global resources. */
const CONCURRENCY = 8
/** Longer than any request that people wait for; Google's own 30 s cut streams and WebSockets off. */
const TIMEOUT_SEC = 3600

/** Everything whose name begins with `prefix-`. */
export async function listParts(context: HttpContext, prefix: string): Promise<Present> {
  const { project, calls, clients } = context
  const filter = `name eq "${prefix}-[-a-z0-9]*"`
  const [services, checks, certificates, groups] = await Promise.all([
    calls.read('list backendServices', async (options) => {
      const [found] = await (await clients.httpServices()).list({ project, filter }, options)
      return found
    }),
    calls.read('list healthChecks', async (options) => {
      const [found] = await (await clients.globalHealthChecks()).list({ project, filter }, options)
      return found
    }),
    calls.read('list sslCertificates', async (options) => {
      const [found] = await (await clients.sslCertificates()).list({ project, filter }, options)
      return found
    }),
    listGroups(context, filter),
  ])
  return {
    services: new Map(services.map((service) => [service.name ?? '', service])),
    checks: new Map(checks.map((check) => [check.name ?? '', check])),
    certificates: certificates.map(({ name }) => name ?? ''),
    groups,
  }
}

function listGroups(
  { project, calls, clients }: HttpContext,
  filter: string,
): Promise<Present['groups']> {
  return calls.read('list networkEndpointGroups', async (options) => {
    const endpointGroups = await clients.endpointGroups()
    const found: Present['groups'] = []
    const pages = endpointGroups.aggregatedListAsync(
      { project, filter },
      { ...options, autoPaginate: false },
    )
    for await (const [, { networkEndpointGroups }] of pages) {
      for (const { name, zone } of networkEndpointGroups ?? []) {
        found.push({ name: name ?? '', zone: lastPart(zone) })
      }
    }
    return found
  })
}

/** Makes the backends what the spec says, and the one that stands for nobody. */
export async function ensureBackends(
  context: HttpContext,
  spec: HttpBalancerSpec,
  present: Present,
): Promise<void> {
  await each(spec.backends, (backend) => ensureBackend(context, backend, present))
  const nobody = nobodyOf(spec.name)
  if (!present.services.has(nobody)) {
    await insertService(context, serviceOf(context, { name: nobody }))
  }
}

/** The backend service without backends: what is sent there is answered with 503. */
export function nobodyOf(balancer: string): string {
  return `${balancer}-none`
}

/** Deletes the parts that the spec does not name; without a spec all of them. */
export async function deleteParts(
  { project, calls, clients }: HttpContext,
  present: Present,
  spec: HttpBalancerSpec | undefined,
  certificates: readonly string[],
): Promise<void> {
  const wanted = new Map((spec?.backends ?? []).map((backend) => [backend.name, backend]))
  const kept = new Set([...wanted.keys(), ...(spec ? [nobodyOf(spec.name)] : [])])
  await each(
    [...present.services.keys()].filter((name) => !kept.has(name)),
    async (name) => {
      const backendServices = await clients.httpServices()
      await unlessGone(() =>
        calls.change(`delete backendServices/${name}`, (requestId, options) =>
          backendServices.delete({ project, backendService: name, requestId }, options),
        ),
      )
    },
  )
  const groups = present.groups.filter(({ name, zone }) => !wanted.get(name)?.zones.includes(zone))
  await each(groups, async ({ name, zone }) => {
    const endpointGroups = await clients.endpointGroups()
    await unlessGone(() =>
      calls.change(`delete networkEndpointGroups/${name}`, (requestId, options) =>
        endpointGroups.delete({ project, zone, networkEndpointGroup: name, requestId }, options),
      ),
    )
  })
  await each(
    [...present.checks.keys()].filter((name) => !wanted.has(name)),
    async (name) => {
      const healthChecks = await clients.globalHealthChecks()
      await unlessGone(() =>
        calls.change(`delete healthChecks/${name}`, (requestId, options) =>
          healthChecks.delete({ project, healthCheck: name, requestId }, options),
        ),
      )
    },
  )
  await each(
    present.certificates.filter((name) => !certificates.includes(name)),
    async (name) => {
      const sslCertificates = await clients.sslCertificates()
      await unlessGone(() =>
        calls.change(`delete sslCertificates/${name}`, (requestId, options) =>
          sslCertificates.delete({ project, sslCertificate: name, requestId }, options),
        ),
      )
    },
  )
}

async function ensureBackend(
  context: HttpContext,
  backend: HttpBackendSpec,
  present: Present,
): Promise<void> {
  const { project, calls, clients, network } = context
  const { name, zones } = backend
  await ensureCheck(context, backend, present.checks.get(name))
  const missing = zones.filter(
    (zone) => !present.groups.some((group) => group.name === name && group.zone === zone),
  )
  for (const zone of missing) {
    const endpointGroups = await clients.endpointGroups()
    const networkEndpointGroupResource = {
      name,
      networkEndpointType: 'GCE_VM_IP_PORT',
      network: `projects/${project}/${network}`,
    }
    await unlessThere(() =>
      calls.change(`insert networkEndpointGroups/${name}`, (requestId, options) =>
        endpointGroups.insert({ project, zone, requestId, networkEndpointGroupResource }, options),
      ),
    )
  }
  const wanted = serviceOf(context, backend)
  const service = present.services.get(name)
  if (!service) return insertService(context, wanted)
  if (isSameService(service, wanted)) return undefined
  const backendServices = await clients.httpServices()
  const backendServiceResource = { ...wanted, fingerprint: service.fingerprint ?? null }
  return calls.change(`update backendServices/${name}`, (requestId, options) =>
    backendServices.update(
      { project, backendService: name, requestId, backendServiceResource },
      options,
    ),
  )
}

async function insertService(
  { project, calls, clients }: HttpContext,
  backendServiceResource: Service,
): Promise<void> {
  const backendServices = await clients.httpServices()
  await unlessThere(() =>
    calls.change(`insert backendServices/${backendServiceResource.name}`, (requestId, options) =>
      backendServices.insert({ project, requestId, backendServiceResource }, options),
    ),
  )
}

function serviceOf(
  { project }: HttpContext,
  { name, ...backend }: Pick<HttpBackendSpec, 'name'> & Partial<HttpBackendSpec>,
): Service {
  const zones = backend.zones ?? []
  return {
    name,
    protocol: 'HTTP',
    loadBalancingScheme: 'EXTERNAL_MANAGED',
    sessionAffinity: backend.sessionAffinity ?? 'NONE',
    timeoutSec: TIMEOUT_SEC,
    healthChecks: backend.healthCheck ? [`projects/${project}/global/healthChecks/${name}`] : [],
    backends: zones.map((zone) => ({
      group: `projects/${project}/zones/${zone}/networkEndpointGroups/${name}`,
      balancingMode: 'RATE',
      // A number that Google insists on; endpoints share the load whatever it is.
      maxRatePerEndpoint: 100,
    })),
    connectionDraining: { drainingTimeoutSec: backend.drainingSeconds ?? 0 },
  }
}

function isSameService(present: Service, wanted: Service): boolean {
  const essence = (service: Service): unknown => ({
    groups: (service.backends ?? [])
      .map(({ group }) => group?.slice(group.indexOf('zones/')) ?? '')
      .toSorted(),
    check: lastPart(service.healthChecks?.[0]),
    affinity: service.sessionAffinity,
    timeout: Number(service.timeoutSec),
    draining: Number(service.connectionDraining?.drainingTimeoutSec),
  })
  return isEqual(essence(present), essence(wanted))
}

async function ensureCheck(
  { project, calls, clients }: HttpContext,
  { name, healthCheck }: HttpBackendSpec,
  present: Check | undefined,
): Promise<void> {
  const { path, intervalSeconds } = healthCheck
  const portSpecification = 'USE_SERVING_PORT'
  const healthCheckResource: Check = {
    name,
    ...(path === undefined
      ? { type: 'TCP', tcpHealthCheck: { portSpecification } }
      : { type: 'HTTP', httpHealthCheck: { portSpecification, requestPath: path } }),
    checkIntervalSec: intervalSeconds,
    timeoutSec: Math.min(intervalSeconds, 5),
    healthyThreshold: 1,
    unhealthyThreshold: 2,
  }
  const healthChecks = await clients.globalHealthChecks()
  if (!present) {
    await unlessThere(() =>
      calls.change(`insert healthChecks/${name}`, (requestId, options) =>
        healthChecks.insert({ project, requestId, healthCheckResource }, options),
      ),
    )
    return
  }
  const isSame =
    present.type === healthCheckResource.type &&
    (path === undefined || present.httpHealthCheck?.requestPath === path) &&
    present.checkIntervalSec === intervalSeconds
  if (isSame) return
  await calls.change(`update healthChecks/${name}`, (requestId, options) =>
    healthChecks.update({ project, healthCheck: name, requestId, healthCheckResource }, options),
  )
}

/** Some at a time; the first failure is thrown when those under way have ended. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item)
      } catch (error) {
        failures.push(error)
        return
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  if (failures.length > 0) throw failures[0]
}
