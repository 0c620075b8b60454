// The endpoints of a network endpoint group: listed, attached, detached.
// https://cloud.google.com/load-balancing/docs/negs/zonal-neg-concepts

import type { Clock } from '#shared/ports/clock.ts'
import type { HttpEndpoint, HttpEndpointGroup } from '#shared/ports/http-balancers.ts'
import { isReason } from '#shared/status.ts'
import { lastPart } from './compute-calls.ts'
import type { HttpContext } from './compute-http-parts.ts'

type Context = HttpContext & { clock: Clock }
type Found = HttpEndpoint & { isHealthy?: boolean }

/** Google's limit for one call. */
const BATCH_MAX = 500
/** So long others are kept for endpoints that are not healthy yet. */
const SETTLE_MS = 10_000
const LOOK_MIN_MS = 50
const LOOK_MAX_MS = 1000

export function listEndpoints(
  { project, calls, clients }: HttpContext,
  { backend, zone }: HttpEndpointGroup,
  healthStatus: 'SHOW' | 'SKIP',
): Promise<Found[]> {
  return calls.read(`listNetworkEndpoints of ${backend}`, async (options) => {
    const endpointGroups = await clients.endpointGroups()
    const [found] = await endpointGroups.listNetworkEndpoints(
      {
        project,
        zone,
        networkEndpointGroup: backend,
        networkEndpointGroupsListEndpointsRequestResource: { healthStatus },
      },
      options,
    )
    return found.map(({ networkEndpoint, healths }) => ({
      instance: lastPart(networkEndpoint?.instance),
      ip: networkEndpoint?.ipAddress ?? '',
      port: networkEndpoint?.port ?? 0,
      ...healthOf((healths ?? []).map(({ healthState }) => String(healthState))),
    }))
  })
}

/** New ones first; others only go when those are healthy, or have had their time. */
export async function setEndpoints(
  context: Context,
  group: HttpEndpointGroup,
  wanted: readonly HttpEndpoint[],
): Promise<void> {
  const present = await listEndpoints(context, group, 'SKIP')
  const names = new Set(wanted.map(nameOf))
  const known = new Set(present.map(nameOf))
  const missing = wanted.filter((endpoint) => !known.has(nameOf(endpoint)))
  const surplus = present.filter((endpoint) => !names.has(nameOf(endpoint)))
  const attached = await attach(context, group, missing)
  if (surplus.length === 0) return
  if (attached.length > 0) await untilHealthy(context, group, attached)
  await change(context, group, surplus, 'detachNetworkEndpoints')
}

async function untilHealthy(
  context: Context,
  group: HttpEndpointGroup,
  endpoints: readonly HttpEndpoint[],
): Promise<void> {
  const { clock } = context
  const until = clock.now() + SETTLE_MS
  const names = new Set(endpoints.map(nameOf))
  for (let ms = LOOK_MIN_MS; clock.now() < until; ms = Math.min(ms * 2, LOOK_MAX_MS)) {
    const found = await listEndpoints(context, group, 'SHOW')
    const waiting = found.filter((one) => names.has(nameOf(one)) && one.isHealthy !== true)
    if (waiting.length === 0) return
    await clock.sleep(ms)
  }
}

/** Answers those that are attached. One that cannot be (its VM is gone) does not keep the others out. */
async function attach(
  context: Context,
  group: HttpEndpointGroup,
  endpoints: readonly HttpEndpoint[],
): Promise<readonly HttpEndpoint[]> {
  if (endpoints.length === 0) return []
  try {
    await change(context, group, endpoints, 'attachNetworkEndpoints')
    return endpoints
  } catch (error) {
    if (endpoints.length === 1 || !isRefused(error)) throw error
  }
  const attached: HttpEndpoint[] = []
  let failure: unknown
  for (const endpoint of endpoints) {
    try {
      await change(context, group, [endpoint], 'attachNetworkEndpoints')
      attached.push(endpoint)
    } catch (error) {
      failure = error
    }
  }
  if (attached.length === 0) throw failure
  return attached
}

async function change(
  { project, calls, clients }: HttpContext,
  { backend, zone }: HttpEndpointGroup,
  endpoints: readonly HttpEndpoint[],
  verb: 'attachNetworkEndpoints' | 'detachNetworkEndpoints',
): Promise<void> {
  const endpointGroups = await clients.endpointGroups()
  for (let from = 0; from < endpoints.length; from += BATCH_MAX) {
    const networkEndpoints = endpoints
      .slice(from, from + BATCH_MAX)
      .map(({ instance, ip, port }) => ({ instance, ipAddress: ip, port }))
    const about = { project, zone, networkEndpointGroup: backend }
    await calls.change(`${verb} of ${backend}`, (requestId, options) =>
      verb === 'attachNetworkEndpoints'
        ? endpointGroups.attachNetworkEndpoints(
            {
              ...about,
              requestId,
              networkEndpointGroupsAttachEndpointsRequestResource: { networkEndpoints },
            },
            options,
          )
        : endpointGroups.detachNetworkEndpoints(
            {
              ...about,
              requestId,
              networkEndpointGroupsDetachEndpointsRequestResource: { networkEndpoints },
            },
            options,
          ),
    )
  }
}

function isRefused(error: unknown): boolean {
  return isReason(error, 'BadRequest') || isReason(error, 'NotFound')
}

function nameOf({ ip, port }: HttpEndpoint): string {
  return `${ip}:${port}`
}

function healthOf(states: readonly string[]): { isHealthy?: boolean } {
  if (states.length === 0 || states.includes('UNKNOWN')) return {}
  return { isHealthy: states.every((state) => state === 'HEALTHY') }
}
