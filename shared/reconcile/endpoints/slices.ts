// The EndpointSlices of a Service: at most 100 endpoints each. An endpoint stays in the slice that it
// is in, so that one pod's change rewrites one slice.

import type { Endpoint, EndpointSlice } from '../../api/endpoint-slice.ts'
import { controllerReference } from '../../api/owner.ts'
import type { Service } from '../../api/service.ts'
import { isEqual } from '../../equal.ts'
import { safeName } from '../../hash.ts'
import { keyOf } from '../../key.ts'
import type { Reader } from '../../view/reader.ts'
import { deleteAtOnce } from '../delete.ts'
import { draftMeta } from '../draft.ts'
import type { PlannedWrite } from '../outcome.ts'
import { hostnameOf, isHeadless } from './service-pods.ts'
import type { PortGroup, ResolvedPort, ServicePod } from './service-pods.ts'

export const SLICES = 'endpointslices.discovery.k8s.io'
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
const MANAGER = 'endpointslice-controller.k8s.io'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** kube-controller-manager's --max-endpoints-per-slice. */
const ENDPOINTS_MAX = 100

/** A slice as it shall be. */
interface Plan {
  /** The slice it goes on from; undefined: a new one. */
  from: EndpointSlice | undefined
  ports: readonly ResolvedPort[]
  endpoints: Endpoint[]
}

/** The slices that this controller made for the Service. */
export function ownSlices(reader: Reader, namespace: string, service: string): EndpointSlice[] {
  return (
    reader.labelled(SLICES, namespace, SERVICE_NAME_LABEL, service) as readonly EndpointSlice[]
  ).filter((slice) => slice.metadata.labels?.[MANAGED_BY_LABEL] === MANAGER)
}

/** What turns the Service's slices into those of its pods. */
export function planSlices(
  reader: Reader,
  service: Service,
  groups: readonly PortGroup[],
  now: number,
): PlannedWrite[] {
  const { namespace = '', name } = service.metadata
  const own = ownSlices(reader, namespace, name)
  const left = new Set(own)
  const plans = groups.flatMap((group) => {
    const fitting = own.filter((slice) => isEqual(slice.ports, slicePorts(group.ports)))
    const plans = planGroup(reader, service, group, fitting)
    for (const { from } of plans) if (from) left.delete(from)
    return plans
  })
  // A Service without pods has one empty slice, so that watchers see that nobody is there.
  if (plans.length === 0) plans.push({ from: undefined, ports: [], endpoints: [] })
  const spare = [...left]
  for (const plan of plans) plan.from ??= spare.shift()
  const names = namesFor(reader, service)
  return [
    ...plans.map((plan): PlannedWrite => ({ do: 'put', object: sliceOf(service, plan, names) })),
    ...spare.flatMap((slice) => deleteAtOnce(slice, now)),
  ]
}

function planGroup(
  reader: Reader,
  service: Service,
  group: PortGroup,
  fitting: readonly EndpointSlice[],
): Plan[] {
  const wanted = new Map(
    group.pods.map((member) => [member.pod.metadata.uid, endpointOf(reader, service, member)]),
  )
  const plans = fitting.map((from): Plan => {
    const endpoints = from.endpoints.flatMap(({ targetRef }) => {
      const endpoint = wanted.get(targetRef?.uid ?? '')
      wanted.delete(targetRef?.uid ?? '')
      return endpoint ?? []
    })
    return { from, ports: group.ports, endpoints }
  })
  for (const endpoint of wanted.values()) {
    let plan = plans.find(({ endpoints }) => endpoints.length < ENDPOINTS_MAX)
    if (!plan) {
      plan = { from: undefined, ports: group.ports, endpoints: [] }
      plans.push(plan)
    }
    plan.endpoints.push(endpoint)
  }
  return plans.filter(({ endpoints }) => endpoints.length > 0)
}

function endpointOf(reader: Reader, service: Service, member: ServicePod): Endpoint {
  const { pod, ip, isReady, isServing, isTerminating } = member
  const { name, namespace, uid } = pod.metadata
  const { nodeName } = pod.spec
  const zone = nodeName
    ? reader.get(keyOf('nodes', '', nodeName))?.metadata.labels?.[ZONE_LABEL]
    : undefined
  return {
    addresses: [ip],
    conditions: { ready: isReady, serving: isServing, terminating: isTerminating },
    ...hostnameOf(pod, service),
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    targetRef: { kind: 'Pod', ...(namespace ? { namespace } : {}), name, uid },
  }
}

function sliceOf(
  service: Service,
  { from, ports, endpoints }: Plan,
  names: () => string,
): EndpointSlice {
  const { namespace, name } = service.metadata
  const labels = sliceLabels(service)
  const metadata = from
    ? { ...from.metadata, labels }
    : draftMeta({
        name: names(),
        generateName: `${name}-`,
        ...(namespace ? { namespace } : {}),
        labels,
        ownerReferences: [controllerReference(service)],
      })
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    endpoints,
    ports: slicePorts(ports),
  }
}

/** A port without a name has the empty one in a slice. */
function slicePorts(ports: readonly ResolvedPort[]): NonNullable<EndpointSlice['ports']> {
  return ports.map((port) => ({ name: '', ...port }))
}

function sliceLabels(service: Service): Record<string, string> {
  return {
    ...service.metadata.labels,
    ...(isHeadless(service) ? { [HEADLESS_LABEL]: '' } : {}),
    [SERVICE_NAME_LABEL]: service.metadata.name,
    [MANAGED_BY_LABEL]: MANAGER,
  }
}

/** Free names, the same for every run on the same state. */
function namesFor(reader: Reader, service: Service): () => string {
  const { namespace, name, uid } = service.metadata
  let ordinal = 0
  return () => {
    while (true) {
      const candidate = `${name.slice(0, 57)}-${safeName(5, uid, 'slice', ordinal++)}`
      if (!reader.get(keyOf(SLICES, namespace, candidate))) return candidate
    }
  }
}
