// Cluster (container.wherry.dev/v1): one Kubernetes cluster as the fleet knows it. It lives in the
// fleet's own key prefix, not among the objects of the cluster it describes; the GKE API reads and
// writes it. Its data holds no reference to its own name: renaming or forking is a matter of this record.

import type { KubeObject } from './meta.ts'

/** The key prefix of the fleet: the clusters themselves. No cluster may have this id. */
export const FLEET = 'wherry-fleet'

export interface ClusterSpec {
  project: string
  /** A zone or a region, as gcloud names it: `us-east1-c`. */
  location: string
  /** What people call it: `test-cluster`. Unique within project and location. */
  displayName: string
  resourceLabels?: Record<string, string>
}

export interface ClusterStatus {
  phase?: 'Provisioning' | 'Running' | 'Deleting' | 'Error'
  message?: string
  /** Host (and port, and path) under which Kubernetes clients reach it. */
  endpoint?: string
}

/** metadata.name is the cluster's id: its key prefix in the Store. */
export interface Cluster extends KubeObject {
  spec: ClusterSpec
  status?: ClusterStatus
}

/** On the namespace kube-system of a cluster that is being deleted: since when. */
export const LEAVING_ANNOTATION = 'wherry.dev/cluster-leaving'

/** The resource of Cluster objects in the fleet. */
export const CLUSTERS = 'clusters.container.wherry.dev'
