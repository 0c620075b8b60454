// What a cluster wants of Google Cloud, read from its objects. Pure.

import { AGENT_PORT, AGENT_TOKEN_SECRET, VM_METADATA } from '#shared/api/agent-wire.ts'
import type { Secret } from '#shared/api/config.ts'
import {
  LOAD_BALANCER_FINALIZER,
  NODE_POOL_FINALIZER,
  NODE_POOL_LABEL,
  SPOT_LABEL,
  type NodePool,
} from '#shared/api/node-pool.ts'
import type { Service } from '#shared/api/service.ts'
import { keyOf } from '#shared/key.ts'
import type { InstanceGroupSpec, LoadBalancerSpec } from '#shared/ports/compute.ts'
import type { Reader } from '#shared/view/reader.ts'
import { cloudInit } from './cloud-init.ts'
import type { CloudConfig, ClusterFacts } from './config.ts'
import { balancerName, baseInstanceName } from './names.ts'

export const NODE_POOLS = 'nodepools.container.wherry.dev'
export const TOKEN_KEY = keyOf('secrets', 'kube-system', AGENT_TOKEN_SECRET)

/** Labels of every VM: Google's label values allow what cluster ids and pool names are made of. */
export const CLUSTER_LABEL = 'wherry-cluster'
export const POOL_LABEL = 'wherry-pool'

export function nodePools(reader: Reader): readonly NodePool[] {
  return reader.list(NODE_POOLS) as readonly NodePool[]
}

export function isLeaving(object: NodePool | Service): boolean {
  return object.metadata.deletionTimestamp !== undefined
}

/** True while the pool may have VMs. */
export function holdsGroup(pool: NodePool): boolean {
  return pool.metadata.finalizers?.includes(NODE_POOL_FINALIZER) ?? false
}

/** Services that want a load balancer or may still have one. */
export function balancedServices(reader: Reader): readonly Service[] {
  return (reader.list('services') as readonly Service[]).filter(
    (service) => wantsBalancer(service) || holdsBalancer(service),
  )
}

/** A Service with a class is somebody else's, as in Kubernetes. */
export function wantsBalancer(service: Service): boolean {
  const { type, loadBalancerClass } = service.spec
  return type === 'LoadBalancer' && !loadBalancerClass && !isLeaving(service)
}

/** True while there may be a load balancer for it. */
export function holdsBalancer(service: Service): boolean {
  return service.metadata.finalizers?.includes(LOAD_BALANCER_FINALIZER) ?? false
}

/**
 * The pool as a managed instance group; undefined when its name is not written down yet; a text says
 * why it cannot be one.
 */
export function groupSpec(
  reader: Reader,
  pool: NodePool,
  facts: ClusterFacts,
  config: CloudConfig,
): InstanceGroupSpec | string | undefined {
  const name = pool.status?.instanceGroup
  const secret: Secret | undefined = reader.get(TOKEN_KEY)
  const token = secret?.data?.['token']
  if (!name) return undefined
  if (!token) return 'Secret kube-system/wherry-agent-token has no token'
  const { nodeCount, zone, machineType, diskSizeGb, spot } = pool.spec
  const labels = {
    ...pool.spec.labels,
    [NODE_POOL_LABEL]: pool.metadata.name,
    // People choose spot VMs by it: nodeSelector, tolerations' docs.
    ...(spot ? { [SPOT_LABEL]: 'true' } : {}),
  }
  return {
    name,
    zone,
    size: nodeCount,
    baseInstanceName: baseInstanceName(name),
    machineType,
    diskSizeGb,
    spot,
    labels: { [CLUSTER_LABEL]: facts.id, [POOL_LABEL]: pool.metadata.name },
    metadata: {
      [VM_METADATA.cluster]: facts.id,
      [VM_METADATA.apiUrl]: config.apiUrl(facts.id),
      [VM_METADATA.apiCa]: config.apiCa(facts.id),
      [VM_METADATA.audience]: config.audience,
      [VM_METADATA.nodeLabels]: JSON.stringify(labels),
      [VM_METADATA.nodeTaints]: JSON.stringify(pool.spec.taints ?? []),
      [VM_METADATA.agentToken]: atob(token),
      [VM_METADATA.pubsubProject]: config.pubsubProject,
      ...(config.agentImage
        ? { [VM_METADATA.agentImage]: config.agentImage, 'user-data': cloudInit() }
        : {}),
    },
    healthCheck: healthCheck(config),
  }
}

/** The Service as a load balancer in front of these groups; a text says why it cannot be one. */
export function balancerSpec(
  service: Service,
  groups: LoadBalancerSpec['groups'],
  facts: ClusterFacts,
  config: CloudConfig,
): LoadBalancerSpec | string {
  const ports = service.spec.ports ?? []
  const protocols = new Set(ports.map((port) => port.protocol ?? 'TCP'))
  const [protocol = 'TCP'] = protocols
  if (protocols.size > 1) return 'mixed protocol is not supported for LoadBalancer'
  if (protocol === 'SCTP') return 'protocol SCTP is not supported for LoadBalancer'
  const address = service.spec.loadBalancerIP
  return {
    name: balancerName(facts.id, service.metadata.uid),
    region: facts.region,
    protocol,
    ports: ports.map(({ port }) => port),
    groups,
    healthCheck: healthCheck(config),
    ...(address ? { address } : {}),
    sessionAffinity: service.spec.sessionAffinity === 'ClientIP' ? 'CLIENT_IP' : 'NONE',
    sourceRanges: sourceRanges(service),
  }
}

/** Nobody has this address: ranges of IPv6 only admit no one who comes over IPv4. */
const NOBODY = '0.0.0.0/32'

function sourceRanges({ spec }: Service): string[] {
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim())
  const ours = ranges.filter((range) => !range.includes(':'))
  return ours.length > 0 || ranges.length === 0 ? ours : [NOBODY]
}

function healthCheck(config: CloudConfig): InstanceGroupSpec['healthCheck'] {
  return {
    port: AGENT_PORT,
    path: '/healthz',
    intervalSeconds: config.healthCheckIntervalSeconds,
  }
}
