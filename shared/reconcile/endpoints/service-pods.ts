// Which pods stand behind a Service, and at which ports: what EndpointSlices and Endpoints are both
// made from.

import { isPodReady, isPodTerminal } from '../../api/pod-conditions.ts'
import type { Pod } from '../../api/pod.ts'
import type { Service, ServicePort } from '../../api/service.ts'
import { matches, selectorOfLabels } from '../../selector.ts'
import type { Reader } from '../../view/reader.ts'

/** Where a pod listens for the Service. */
export interface ResolvedPort {
  name?: string
  port: number
  protocol: string
  appProtocol?: string
}

/** A pod that has an address. */
export interface ServicePod {
  pod: Pod
  ip: string
  ports: readonly ResolvedPort[]
  /** Gets traffic. */
  isReady: boolean
  /** Could get traffic if it were not on its way out. */
  isServing: boolean
  isTerminating: boolean
}

/** Pods with the same ports, named by them. */
export interface PortGroup {
  id: string
  ports: readonly ResolvedPort[]
  pods: ServicePod[]
}

/** True for a Service whose endpoints are computed; those without selector are their maker's. */
export function hasComputedEndpoints({ spec }: Service): boolean {
  return Object.keys(spec.selector ?? {}).length > 0 && spec.type !== 'ExternalName'
}

export function isHeadless({ spec }: Service): boolean {
  return spec.clusterIP === 'None'
}

/** The pods behind the Service, grouped by their ports, in order of names. */
export function groupsOf(reader: Reader, service: Service): PortGroup[] {
  const groups = new Map<string, PortGroup>()
  for (const member of servicePods(reader, service)) {
    const id = JSON.stringify(member.ports)
    const group = groups.get(id)
    if (group) group.pods.push(member)
    else groups.set(id, { id, ports: member.ports, pods: [member] })
  }
  return [...groups.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

function servicePods(reader: Reader, service: Service): ServicePod[] {
  const labels = service.spec.selector ?? {}
  const [first] = Object.entries(labels)
  const selector = selectorOfLabels(labels)
  const namespace = service.metadata.namespace ?? ''
  if (!first) return []
  return (reader.labelled('pods', namespace, first[0], first[1]) as readonly Pod[])
    .filter((pod) => matches(selector, pod.metadata.labels) && !isPodTerminal(pod))
    .flatMap((pod) => memberOf(service, pod) ?? [])
}

function memberOf(service: Service, pod: Pod): ServicePod | undefined {
  const ip = pod.status?.podIP
  if (!ip) return undefined
  const isServing = isPodReady(pod)
  const isTerminating = pod.metadata.deletionTimestamp !== undefined
  return {
    pod,
    ip,
    ports: (service.spec.ports ?? []).flatMap((port) => resolvePort(port, pod) ?? []),
    isReady: service.spec.publishNotReadyAddresses === true || (isServing && !isTerminating),
    isServing,
    isTerminating,
  }
}

/** A named target port is looked up in the pod; one that the pod does not have is left out. */
function resolvePort(servicePort: ServicePort, pod: Pod): ResolvedPort | undefined {
  const { name, appProtocol } = servicePort
  const protocol = servicePort.protocol ?? 'TCP'
  const target = servicePort.targetPort || servicePort.port
  const port = typeof target === 'number' ? target : containerPort(pod, target, protocol)
  if (port === undefined) return undefined
  return { ...(name ? { name } : {}), port, protocol, ...(appProtocol ? { appProtocol } : {}) }
}

function containerPort({ spec }: Pod, name: string, protocol: string): number | undefined {
  const sidecars = (spec.initContainers ?? []).filter((each) => each.restartPolicy === 'Always')
  return [...spec.containers, ...sidecars]
    .flatMap((container) => container.ports ?? [])
    .find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)?.containerPort
}

/** The pod's name in DNS below a headless Service, when it asks for one. */
export function hostnameOf({ spec, metadata }: Pod, service: Service): { hostname?: string } {
  const { hostname, subdomain } = spec
  const isIts =
    hostname &&
    subdomain === service.metadata.name &&
    metadata.namespace === service.metadata.namespace
  return isIts ? { hostname } : {}
}
