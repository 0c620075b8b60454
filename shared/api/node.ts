// Node: one VM that runs pods. Cluster-scoped.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/

import type { Condition, KubeObject } from './meta.ts'
import type { Quantity } from './pod.ts'

export interface Taint {
  key: string
  value?: string
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
  timeAdded?: string
}

export interface NodeSpec {
  /** `gce://<project>/<zone>/<instance name>`, as on GKE. */
  providerID?: string
  podCIDR?: string
  podCIDRs?: string[]
  unschedulable?: boolean
  taints?: Taint[]
}

export interface NodeStatus {
  capacity?: Record<string, Quantity>
  allocatable?: Record<string, Quantity>
  conditions?: Condition[]
  addresses?: { type: 'InternalIP' | 'ExternalIP' | 'Hostname'; address: string }[]
  nodeInfo?: Record<string, string>
  images?: { names: string[]; sizeBytes?: number }[]
  daemonEndpoints?: { kubeletEndpoint: { Port: number } }
}

/** Annotation: the VM's incarnation, `<instance id>`; a new VM of the same name has another. */
export const INSTANCE_ID_ANNOTATION = 'wherry.dev/instance-id'

export interface Node extends KubeObject {
  spec: NodeSpec
  status?: NodeStatus
}
