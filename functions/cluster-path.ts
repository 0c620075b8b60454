// In the cloud all clusters share one host: `/clusters/<id>/api/v1/…` is a cluster's Kubernetes API,
// what is outside belongs to the GKE API.

/** Only ids as createCluster makes them: the fleet's own prefix is no cluster. */
const CLUSTER_PATH = /^\/clusters\/(c-[a-z0-9]+)(\/.*)?$/

/** Which cluster a path is about and what Kubernetes sees of it. */
export function splitClusterPath(path: string): { cluster: string; path: string } | undefined {
  const [, cluster, rest = '/'] = CLUSTER_PATH.exec(path) ?? []
  return cluster ? { cluster, path: rest } : undefined
}

/** `/clusters/<id>`. */
export function clusterPath(cluster: string): string {
  return `/clusters/${cluster}`
}

/** True for the paths of the GKE and Service Usage APIs. */
export function isGooglePath(path: string): boolean {
  return /^\/v1(beta1|alpha1)?\/projects\//.test(path)
}
