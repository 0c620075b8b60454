// From the backend that an Ingress names to a set of pods: the Service's port, the endpoints that are
// ready, and how they are probed.

import type { EndpointSlice } from '../api/endpoint-slice.ts'
import type { IngressBackend } from '../api/ingress.ts'
import type { NodePool } from '../api/node-pool.ts'
import type { Pod } from '../api/pod.ts'
import type { Service, ServicePort } from '../api/service.ts'
import { derivedUid } from '../hash.ts'
import { keyOf } from '../key.ts'
import type { HttpBackendSpec, HttpEndpoint } from '../ports/http-balancers.ts'
import { SERVICE_NAME_LABEL, SLICES } from '../reconcile/endpoints/slices.ts'
import { NODE_POOLS } from '../reconcile/vm-state.ts'
import type { Reader } from '../view/reader.ts'

/** One port of one Service. */
export interface ServiceTarget {
  service: Service
  port: ServicePort
}

/** The endpoints that one backend shall have in one zone. */
export interface PlannedGroup {
  backend: string
  zone: string
  endpoints: HttpEndpoint[]
  /** Moves with everything that the endpoints were read from. */
  version: string
}

export interface PlannedBackend {
  spec: HttpBackendSpec
  groups: PlannedGroup[]
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** The Service's port, or why there is none: GKE's words. */
export function resolveBackend(
  reader: Reader,
  namespace: string,
  { service: wanted, resource }: IngressBackend,
): ServiceTarget | string {
  if (!wanted) {
    return `backend "${resource?.kind}/${resource?.name}" is a resource, only services are supported`
  }
  const name = `${namespace}/${wanted.name}`
  const service = reader.get(keyOf('services', namespace, wanted.name)) as Service | undefined
  if (!service || service.metadata.deletionTimestamp) return `could not find service "${name}"`
  if (service.spec.type === 'ExternalName') {
    return `service "${name}" is type "ExternalName", expected one with pods behind it`
  }
  const port = (service.spec.ports ?? []).find((each) =>
    wanted.port?.name ? each.name === wanted.port.name : each.port === wanted.port?.number,
  )
  if (!port || (port.protocol ?? 'TCP') !== 'TCP') {
    return `could not find port "${wanted.port?.name ?? wanted.port?.number}" in service "${name}"`
  }
  return { service, port }
}

/** `k8s1-1a2b3c4d-default-web-80-5e6f7a8b`: GKE's form, always the same for a Service's port. */
export function backendName(entry: string, { service, port }: ServiceTarget): string {
  const { namespace = '', name } = service.metadata
  const digest = derivedUid(entry, namespace, name, port.port).slice(0, 8)
  return `${entry}-${short(namespace, 12)}-${short(name, 16)}-${port.port}-${digest}`
}

/** As Google allows it inside a name. */
function short(text: string, length: number): string {
  return text.slice(0, length).replaceAll(/[^a-z0-9-]|^-+|-+$/g, '') || 'x'
}

/** The backend of a Service's port, with the endpoints that are ready. */
export function planBackend(
  reader: Reader,
  entry: string,
  target: ServiceTarget,
  intervalSeconds: number,
): PlannedBackend {
  const { service, port } = target
  const slices = slicesOf(reader, service)
  const version = slices
    .map(({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`)
    .toSorted()
    .join(' ')
  const name = backendName(entry, target)
  const byZone = new Map<string, HttpEndpoint[]>(zonesOf(reader).map((zone) => [zone, []]))
  for (const slice of slices) {
    const number = slice.ports?.find((each) => (each.name ?? '') === (port.name ?? ''))?.port
    if (number === undefined) continue
    for (const { addresses, conditions, nodeName, zone } of slice.endpoints) {
      const [ip] = addresses
      const place = zone ?? zoneOfNode(reader, nodeName)
      if (conditions?.ready === false || !ip || !nodeName || !place) continue
      byZone.set(place, [...(byZone.get(place) ?? []), { instance: nodeName, ip, port: number }])
    }
  }
  const path = probedPath(reader, slices, target)
  return {
    spec: {
      name,
      zones: [...byZone.keys()].toSorted(),
      healthCheck: { ...(path === undefined ? {} : { path }), intervalSeconds },
      sessionAffinity: service.spec.sessionAffinity === 'ClientIP' ? 'CLIENT_IP' : 'NONE',
      drainingSeconds: DRAINING_SECONDS,
    },
    groups: [...byZone].map(([zone, endpoints]) => ({ backend: name, zone, endpoints, version })),
  }
}

/** Pods have half of their grace period, which is 30 s unless they say otherwise. */
const DRAINING_SECONDS = 15

/** The Service's slices, whoever made them. */
export function slicesOf(reader: Reader, service: Service): readonly EndpointSlice[] {
  const { namespace = '', name } = service.metadata
  return reader.labelled(SLICES, namespace, SERVICE_NAME_LABEL, name) as readonly EndpointSlice[]
}

function zonesOf(reader: Reader): string[] {
  const pools = reader.list(NODE_POOLS) as readonly NodePool[]
  return [
    ...new Set(
      pools
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map(({ spec }) => spec.zone),
    ),
  ]
}

function zoneOfNode(reader: Reader, node: string | undefined): string | undefined {
  if (!node) return undefined
  return reader.get(keyOf('nodes', '', node))?.metadata.labels?.[ZONE_LABEL]
}

/**
 * The path of the pods' own readiness probe at this port, as GKE takes it. Without one GKE asks for `/` and
 * wants 200; here the port is only opened, because whether a pod is ready is known already.
 */
function probedPath(
  reader: Reader,
  slices: readonly EndpointSlice[],
  { service, port }: ServiceTarget,
): string | undefined {
  const refs = slices.flatMap(({ endpoints }) =>
    endpoints.flatMap(({ targetRef }) => targetRef ?? []),
  )
  for (const { name = '' } of refs) {
    const pod = reader.get(keyOf('pods', service.metadata.namespace, name)) as Pod | undefined
    if (!pod) continue
    const target = port.targetPort || port.port
    for (const container of pod.spec.containers) {
      const named = (container.ports ?? []).find((each) =>
        typeof target === 'number' ? each.containerPort === target : each.name === target,
      )
      const get = container.readinessProbe?.httpGet
      const isIts =
        get?.port === target ||
        (named !== undefined && (get?.port === named.name || get?.port === named.containerPort))
      if (get && isIts && (get.scheme ?? 'HTTP') === 'HTTP') return get.path ?? '/'
    }
    return undefined
  }
  return undefined
}
