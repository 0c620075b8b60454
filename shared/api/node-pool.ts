// NodePool (container.wherry.dev/v1): the VMs of a cluster; each pool is one managed instance group.
// Cluster-scoped, stored among the cluster's own objects; the GKE API reads and writes it.

import type { KubeObject } from './meta.ts'
import type { Taint } from './node.ts'

export interface NodePoolSpec {
  /** How many VMs are wanted. */
  nodeCount: number
  zone: string
  machineType: string
  diskSizeGb: number
  spot: boolean
  /** Labels and taints of its Nodes. */
  labels?: Record<string, string>
  taints?: Taint[]
  autoscaling?: { enabled: boolean; minNodeCount: number; maxNodeCount: number }
}

export interface NodePoolStatus {
  /** The managed instance group, once asked for. */
  instanceGroup?: string
  /** The VMs that exist, as Compute Engine last listed them (written by the cloud function). */
  instances?: PoolInstance[]
  phase?: 'Provisioning' | 'Running' | 'Deleting' | 'Error'
  message?: string
}

/**
 * One VM. The api function trusts an agent only if its identity token names a VM in this list (same
 * name and id); the node controller takes a Node away whose VM is not in it.
 */
export interface PoolInstance {
  name: string
  /** Google's numeric id as text: a new VM of the same name has another one. */
  id: string
  status: string
  creationTimestamp: string
  internalIp?: string
  externalIp?: string
  /** False when the health checker says so (written by the signals function); absent: not known. */
  isHealthy?: boolean
}

export interface NodePool extends KubeObject {
  spec: NodePoolSpec
  status?: NodePoolStatus
}

/** Finalizer: the pool's VMs must be gone before the object goes. */
export const NODE_POOL_FINALIZER = 'container.wherry.dev/instance-group'

/** Node label that names the pool, as on GKE. */
export const NODE_POOL_LABEL = 'cloud.google.com/gke-nodepool'

/** Finalizer of a Service of type LoadBalancer, as Kubernetes' service controller sets it. */
export const LOAD_BALANCER_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup'
