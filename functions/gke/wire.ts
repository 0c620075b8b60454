// The GKE API's own shapes (container/v1), as far as gcloud reads and sends them, and how Wherry's
// Clusters and NodePools look in them.

import type { Cluster } from '#shared/api/cluster.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import type { Taint } from '#shared/api/node.ts'
import { CLUSTER_VERSION } from '#shared/version.ts'

/** What gcloud sends of a node pool; every field may be missing. */
export interface NodePoolBody {
  name?: string
  initialNodeCount?: number
  config?: {
    machineType?: string
    diskSizeGb?: number
    labels?: Record<string, string>
    taints?: { key?: string; value?: string; effect?: string }[]
    spot?: boolean
    preemptible?: boolean
    resourceLabels?: Record<string, string>
    tags?: string[]
    oauthScopes?: string[]
    serviceAccount?: string
  }
  autoscaling?: { enabled?: boolean; minNodeCount?: number; maxNodeCount?: number }
  management?: { autoRepair?: boolean; autoUpgrade?: boolean }
}

export interface ClusterBody {
  name?: string
  initialNodeCount?: number
  nodePools?: NodePoolBody[]
  nodeConfig?: NodePoolBody['config']
  resourceLabels?: Record<string, string>
  initialClusterVersion?: string
  autopilot?: { enabled?: boolean }
}

export interface ClusterAccess {
  /** Host, with port and path where needed; gcloud puts `https://` before it. */
  endpoint: string
  /** PEM; empty: the certificate is a publicly trusted one. */
  ca: string
}

const EFFECT_TO_WIRE: Record<Taint['effect'], string> = {
  NoSchedule: 'NO_SCHEDULE',
  PreferNoSchedule: 'PREFER_NO_SCHEDULE',
  NoExecute: 'NO_EXECUTE',
}

/** `NO_SCHEDULE` → `NoSchedule`; undefined when it is none. */
export function taintEffect(wire: string | undefined): Taint['effect'] | undefined {
  const entry = Object.entries(EFFECT_TO_WIRE).find(([, text]) => text === wire)
  return entry?.[0] as Taint['effect'] | undefined
}

export function nodePoolToWire(pool: NodePool): Record<string, unknown> {
  const { spec, status } = pool
  const phase = pool.metadata.deletionTimestamp ? 'Deleting' : (status?.phase ?? 'Provisioning')
  return {
    name: pool.metadata.name,
    initialNodeCount: spec.nodeCount,
    version: CLUSTER_VERSION,
    status: POOL_STATUS[phase],
    ...(status?.message ? { statusMessage: status.message } : {}),
    locations: [spec.zone],
    ...(status?.instanceGroup ? { instanceGroupUrls: [status.instanceGroup] } : {}),
    podIpv4CidrSize: 24,
    config: {
      machineType: spec.machineType,
      diskSizeGb: spec.diskSizeGb,
      diskType: 'pd-balanced',
      imageType: 'COS_CONTAINERD',
      serviceAccount: 'default',
      ...(spec.labels ? { labels: spec.labels } : {}),
      ...(spec.spot ? { spot: true } : {}),
      ...(spec.taints
        ? {
            taints: spec.taints.map((taint) => ({
              ...taint,
              effect: EFFECT_TO_WIRE[taint.effect],
            })),
          }
        : {}),
    },
    management: { autoRepair: true, autoUpgrade: true },
    upgradeSettings: { maxSurge: 1 },
    ...(spec.autoscaling ? { autoscaling: spec.autoscaling } : {}),
  }
}

const POOL_STATUS = {
  Provisioning: 'PROVISIONING',
  Running: 'RUNNING',
  Deleting: 'STOPPING',
  Error: 'ERROR',
} as const

/** A cluster with its pools. `readyNodes` is how many Nodes there are. */
export function clusterToWire(
  cluster: Cluster,
  pools: readonly NodePool[],
  access: ClusterAccess,
  nodeCount: number,
): Record<string, unknown> {
  const { spec, metadata } = cluster
  const phase = metadata.deletionTimestamp ? 'Deleting' : (cluster.status?.phase ?? 'Running')
  const first = pools[0]
  return {
    name: spec.displayName,
    id: metadata.uid.replaceAll('-', ''),
    zone: spec.location,
    location: spec.location,
    locations: [...new Set(pools.map((pool) => pool.spec.zone))],
    selfLink: clusterLink(spec),
    status: POOL_STATUS[phase],
    ...(cluster.status?.message ? { statusMessage: cluster.status.message } : {}),
    createTime: metadata.creationTimestamp,
    endpoint: access.endpoint,
    masterAuth: { clusterCaCertificate: base64(access.ca) },
    ...(access.ca === '' ? publicEndpoint(access.endpoint) : {}),
    initialClusterVersion: CLUSTER_VERSION,
    currentMasterVersion: CLUSTER_VERSION,
    currentNodeVersion: CLUSTER_VERSION,
    currentNodeCount: nodeCount,
    initialNodeCount: first?.spec.nodeCount ?? 0,
    nodePools: pools.map(nodePoolToWire),
    ...(first ? { nodeConfig: nodePoolToWire(first)['config'] } : {}),
    ...(spec.resourceLabels ? { resourceLabels: spec.resourceLabels } : {}),
    labelFingerprint: labelFingerprint(spec.resourceLabels),
    network: 'default',
    subnetwork: 'default',
    clusterIpv4Cidr: '10.4.0.0/14',
    servicesIpv4Cidr: '34.118.224.0/20',
    loggingService: 'logging.googleapis.com/kubernetes',
    monitoringService: 'monitoring.googleapis.com/kubernetes',
    releaseChannel: { channel: 'REGULAR' },
    etag: metadata.resourceVersion ?? '',
  }
}

/** How gcloud is told to trust the system's roots: without it, no CA would mean no check at all. */
function publicEndpoint(endpoint: string): Record<string, unknown> {
  return {
    controlPlaneEndpointsConfig: {
      dnsEndpointConfig: { endpoint, allowExternalTraffic: true },
      ipEndpointsConfig: { enabled: false },
    },
  }
}

/** `projects/p/zones/z/clusters/c`, as GKE writes it in links and messages. */
export function clusterLink(spec: Cluster['spec']): string {
  return `projects/${spec.project}/zones/${spec.location}/clusters/${spec.displayName}`
}

/** Changes with the labels: setResourceLabels must name the one it has seen. */
export function labelFingerprint(labels: Record<string, string> | undefined): string {
  const sorted = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return base64(JSON.stringify(sorted)).slice(-12)
}

function base64(text: string): string {
  return text === '' ? '' : Buffer.from(text).toString('base64')
}
