// What Kubernetes fills into a Service: v1 defaults, its cluster address and its node ports.

import { LOAD_BALANCER_FINALIZER } from './node-pool.ts'
import { oldOf } from './kind.ts'
import type { AdmissionContext } from './kind.ts'
import {
  NODE_PORTS,
  freeAddress,
  freeNodePort,
  serviceIdentity,
  usedAddresses,
  usedNodePorts,
} from './service-addresses.ts'
import type { Service, ServicePort, ServiceSpec } from './service.ts'

/** How long a client stays with its pod: three hours. */
const AFFINITY_SECONDS = 10_800

/** The defaults of a service; addresses are kept across updates and given back on a change of type. */
export function applyServiceDefaults(draft: Service, context: AdmissionContext): void {
  const loose: { spec?: ServiceSpec } = draft
  const spec = (loose.spec ??= {})
  const old = oldOf(draft, context)
  applyPlainDefaults(spec)
  if (old) keepAllocated(spec, old.spec)
  if (spec.type === 'ExternalName') {
    dropAddresses(spec)
  } else {
    applyPolicies(spec)
    allocateAddress(draft, spec, context)
    applyFamilies(spec)
  }
  allocateNodePorts(draft, spec, context)
  applyFinalizer(draft)
  if (!old) draft.status = { ...draft.status, loadBalancer: {} }
}

function applyPlainDefaults(spec: ServiceSpec): void {
  spec.type ||= 'ClusterIP'
  spec.sessionAffinity ||= 'None'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  else {
    spec.sessionAffinityConfig ??= {}
    spec.sessionAffinityConfig.clientIP ??= {}
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= AFFINITY_SECONDS
  }
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP'
    if (!port.targetPort) port.targetPort = port.port
  }
}

/** Fields the user left out on an update keep what was given to them before. */
function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName') {
    const hasNew = Boolean(spec.clusterIP) || Boolean(spec.clusterIPs?.[0])
    if (!hasNew && old.clusterIP) {
      spec.clusterIP = old.clusterIP
      spec.clusterIPs = [...(old.clusterIPs ?? [old.clusterIP])]
    }
    spec.ipFamilies ??= old.ipFamilies
    spec.ipFamilyPolicy ||= old.ipFamilyPolicy
  }
  if (!usesNodePorts(spec) || !usesNodePorts(old)) return
  const before = new Map((old.ports ?? []).map((port) => [portIdentity(port), port.nodePort]))
  const claimed = new Set((spec.ports ?? []).map((port) => port.nodePort).filter(Boolean))
  for (const port of spec.ports ?? []) {
    const kept = before.get(portIdentity(port))
    if (!port.nodePort && kept && !claimed.has(kept)) {
      port.nodePort = kept
      claimed.add(kept)
    }
  }
}

function portIdentity(port: ServicePort): string {
  return `${port.protocol ?? 'TCP'}/${port.port}`
}

/** A name elsewhere has no address here. */
function dropAddresses(spec: ServiceSpec): void {
  delete spec.clusterIP
  delete spec.clusterIPs
  delete spec.ipFamilies
  delete spec.ipFamilyPolicy
  delete spec.internalTrafficPolicy
  delete spec.externalTrafficPolicy
  delete spec.allocateLoadBalancerNodePorts
}

function applyPolicies(spec: ServiceSpec): void {
  spec.internalTrafficPolicy ||= 'Cluster'
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    spec.externalTrafficPolicy ||= 'Cluster'
  } else if (!spec.externalIPs?.length) {
    delete spec.externalTrafficPolicy
  }
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true
  else {
    delete spec.allocateLoadBalancerNodePorts
    delete spec.loadBalancerClass
  }
}

function allocateAddress(draft: Service, spec: ServiceSpec, context: AdmissionContext): void {
  spec.clusterIP ||= spec.clusterIPs?.[0]
  if (!spec.clusterIP) {
    const identity = serviceIdentity(draft)
    spec.clusterIP = freeAddress(usedAddresses(context.reader, identity), seedOf(draft))
  }
  if (spec.clusterIP) spec.clusterIPs ??= [spec.clusterIP]
}

function applyFamilies(spec: ServiceSpec): void {
  spec.ipFamilies ??= ['IPv4']
  spec.ipFamilyPolicy ||= 'SingleStack'
}

/** True when a service of this spec has a port on every node. */
export function usesNodePorts(spec: ServiceSpec): boolean {
  return (
    spec.type === 'NodePort' ||
    (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  )
}

function allocateNodePorts(draft: Service, spec: ServiceSpec, context: AdmissionContext): void {
  if (!usesNodePorts(spec)) {
    // A balancer that allocates none may still keep those that were asked for by number.
    if (spec.type !== 'LoadBalancer') for (const port of spec.ports ?? []) delete port.nodePort
    delete spec.healthCheckNodePort
    return
  }
  const used = usedNodePorts(context.reader, serviceIdentity(draft))
  const ports = spec.ports ?? []
  for (const port of ports) if (port.nodePort) used.add(`${port.nodePort}/${port.protocol}`)
  for (const port of ports) {
    if (port.nodePort) continue
    // The same port number over TCP and UDP gets the same port on the node, as in Kubernetes.
    const sibling = ports.find((each) => each.port === port.port && each.nodePort)?.nodePort
    const isShared = sibling !== undefined && !used.has(`${sibling}/${port.protocol}`)
    port.nodePort = isShared
      ? sibling
      : freeNodePort(used, `${seedOf(draft)}/${portIdentity(port)}`)
    used.add(`${port.nodePort}/${port.protocol}`)
  }
  const needsHealthPort = spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
  if (!needsHealthPort) delete spec.healthCheckNodePort
  else spec.healthCheckNodePort ||= freeNodePort(used, `${seedOf(draft)}/health`)
}

function seedOf({ metadata }: Service): string {
  return metadata?.uid || `${metadata?.namespace}/${metadata?.name}`
}

/** A balancer must be taken down before its service goes. */
function applyFinalizer(draft: Service): void {
  if (draft.spec.type !== 'LoadBalancer' || !draft.metadata) return
  if (draft.metadata.deletionTimestamp !== undefined) return
  const finalizers = draft.metadata.finalizers ?? []
  if (!finalizers.includes(LOAD_BALANCER_FINALIZER)) {
    draft.metadata.finalizers = [...finalizers, LOAD_BALANCER_FINALIZER]
  }
}

/** `30000-32767`, as Kubernetes prints the range. */
export const NODE_PORT_RANGE_TEXT = `${NODE_PORTS.first}-${NODE_PORTS.last}`
