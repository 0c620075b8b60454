// What the cloud function must be told of its surroundings, and what it finds out about a cluster.

import { CLUSTERS, FLEET, type Cluster } from '#shared/api/cluster.ts'
import { keyOf } from '#shared/key.ts'
import type { LiveViews } from '../cluster/live-view.ts'

export interface CloudConfig {
  /** For clusters of which nothing else is known. */
  region: string
  /** The api function as a VM of this cluster reaches it. */
  apiUrl(cluster: string): string
  /** PEM of the CA that signed the api's certificate; '': the system's roots. */
  apiCa(cluster: string): string
  /** Audience of the VMs' identity tokens. */
  audience: string
  /** The project whose topics the agents listen to. */
  pubsubProject: string
  /** Image of the node agent, for VMs that start it by cloud-init; absent: they have it already. */
  agentImage?: string
  /** How often Google probes each VM's agent. */
  healthCheckIntervalSeconds: number
  /** How long after a call requests may still come to an endpoint that it has detached. */
  propagationSeconds: number
  /** A new bearer token for a cluster's agents; absent: 32 random bytes. */
  newToken?: () => string
}

export interface ClusterFacts {
  id: string
  displayName: string
  region: string
}

/** From the fleet's record; a cluster without one goes by its id. */
export async function readClusterFacts(
  views: LiveViews,
  config: CloudConfig,
  id: string,
): Promise<ClusterFacts> {
  const fleet = await views.open(FLEET)
  const key = keyOf(CLUSTERS, '', id)
  const record = (fleet.current.get(key) ?? (await fleet.catchUp()).get(key)) as Cluster | undefined
  if (!record) return { id, displayName: id, region: config.region }
  const { displayName, location } = record.spec
  return { id, displayName, region: location.replace(/-[a-z]$/, '') }
}
