// Which listeners a node needs for its cluster's Services, and where each sends: pure, as kube-proxy's
// service and endpoint maps. One listener serves all of a port's addresses unless traffic from outside
// must stay on the node (externalTrafficPolicy: Local).

import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'

export interface Backend {
  ip: string
  port: number
}

export interface ServicePortPlan {
  /** `default/web:80:internal`, unique on the node. */
  key: string
  backends: Backend[]
  /** Addresses of the VPC, as the registry writes them, that lead to this listener. */
  routes: string[]
  affinitySeconds: number | undefined
}

/** The label that ties a slice to its Service. */
const SERVICE_NAME = 'kubernetes.io/service-name'
const AFFINITY_SECONDS = 10_800

/** The key of the listener that this node's pods use. */
export function internalKey(service: Service, port: ServicePort): string {
  return `${service.metadata.namespace}/${service.metadata.name}:${port.port}:internal`
}

/** `namespace/name` of the Service that a slice belongs to. */
export function serviceOf(slice: EndpointSlice): string {
  return `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_NAME] ?? ''}`
}

/** The listeners of one Service. Only TCP: loopback has no way to forward UDP by address. */
export function planService(
  service: Service,
  slices: readonly EndpointSlice[],
  node: { name: string; ip: string },
): ServicePortPlan[] {
  const { spec } = service
  const isForwarded = spec.type !== 'ExternalName' && spec.clusterIP !== 'None' && spec.clusterIP
  if (!isForwarded) return []
  const affinitySeconds =
    spec.sessionAffinity === 'ClientIP'
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS)
      : undefined
  return (spec.ports ?? [])
    .filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
    .flatMap((port): ServicePortPlan[] => {
      const key = internalKey(service, port)
      const all = backendsOf(slices, port, undefined)
      const local = backendsOf(slices, port, node.name)
      const clusterIp = `${node.ip}>${spec.clusterIP}:${port.port}/tcp`
      const outside = outsideRoutes(service, port, node.ip)
      const inside = spec.internalTrafficPolicy === 'Local' ? local : all
      const isOutsideLocal = spec.externalTrafficPolicy === 'Local'
      const isOne = isOutsideLocal === (spec.internalTrafficPolicy === 'Local')
      const internal: ServicePortPlan = {
        key,
        backends: inside,
        routes: isOne ? [clusterIp, ...outside] : [clusterIp],
        affinitySeconds,
      }
      if (isOne || outside.length === 0) return [internal]
      const external: ServicePortPlan = {
        key: key.replace(/internal$/, 'external'),
        backends: isOutsideLocal ? local : all,
        routes: outside,
        affinitySeconds,
      }
      return [internal, external]
    })
}

function outsideRoutes(service: Service, port: ServicePort, nodeIp: string): string[] {
  const { spec, status } = service
  const addresses = [
    ...(spec.externalIPs ?? []),
    ...(spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : []).map(
      ({ ip }) => ip,
    ),
  ].filter((ip) => ip !== undefined)
  return [
    ...(port.nodePort ? [`${nodeIp}:${port.nodePort}/tcp`] : []),
    ...addresses.map((ip) => `${nodeIp}>${ip}:${port.port}/tcp`),
  ]
}

/**
 * Ready endpoints; when there is none, those that are terminating but still serve (as kube-proxy).
 * `onNode` keeps those of one node.
 */
export function backendsOf(
  slices: readonly EndpointSlice[],
  servicePort: ServicePort,
  onNode: string | undefined,
): Backend[] {
  const ready: Backend[] = []
  const leaving: Backend[] = []
  for (const slice of slices) {
    const port = slice.ports?.find(({ name }) => (name ?? '') === (servicePort.name ?? ''))?.port
    if (port === undefined) continue
    for (const { addresses, conditions, nodeName } of slice.endpoints ?? []) {
      if (onNode !== undefined && nodeName !== onNode) continue
      const list =
        conditions?.ready !== false
          ? ready
          : conditions.serving && conditions.terminating
            ? leaving
            : undefined
      for (const ip of addresses) list?.push({ ip, port })
    }
  }
  return ready.length > 0 ? ready : leaving
}
