// The fleet: which clusters there are, and how one begins and ends. A cluster is a key prefix, so
// creating one is two commits (its record, its first objects) and costs nothing while it stands.

import { CLUSTERS, FLEET, type Cluster, type ClusterSpec } from '#shared/api/cluster.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NodePool, NodePoolSpec } from '#shared/api/node-pool.ts'
import { derivedUid, safeName } from '#shared/hash.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { keyOf } from '#shared/key.ts'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Write } from '#shared/ports/store.ts'
import { bootstrapObjects } from '#shared/reconcile/bootstrap.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import type { LiveViews } from '../cluster/live-view.ts'

export interface FleetDeps {
  views: LiveViews
  bus: Bus
  clock: Clock
}

export interface NodePoolDraft {
  name: string
  spec: NodePoolSpec
}

/** What a new cluster starts with beside its name. */
export interface ClusterDraft {
  spec: ClusterSpec
  nodePools: NodePoolDraft[]
  /** PEM of the CA that signs the cluster's endpoint: published in every namespace. */
  ca: string
}

/**
 * The cluster's id: its key prefix. Derived from what must be unique, so that creating the same
 * cluster twice meets itself; the creation time keeps a later cluster of that name apart from the
 * remains of an earlier one.
 */
export function clusterId(spec: ClusterSpec, createdAtMs: number): string {
  return `c-${safeName(12, spec.project, spec.location, spec.displayName, createdAtMs)}`
}

/** All clusters, by name. One read when nothing changed. */
export async function listClusters(deps: Pick<FleetDeps, 'views'>): Promise<readonly Cluster[]> {
  const fleet = await (await deps.views.open(FLEET)).catchUp()
  return fleet.list(CLUSTERS).filter(isCluster)
}

/** The cluster of that name, or undefined. */
export async function findCluster(
  deps: Pick<FleetDeps, 'views'>,
  spec: Pick<ClusterSpec, 'project' | 'location' | 'displayName'>,
): Promise<Cluster | undefined> {
  const clusters = await listClusters(deps)
  return clusters.find(
    (cluster) =>
      cluster.spec.project === spec.project &&
      cluster.spec.location === spec.location &&
      cluster.spec.displayName === spec.displayName,
  )
}

/**
 * Creates the cluster's record and its first objects. A crash between the two is healed by calling
 * again. Error: AlreadyExists when a cluster of that name is there and complete.
 */
export async function createCluster(deps: FleetDeps, draft: ClusterDraft): Promise<Cluster> {
  const present = await findCluster(deps, draft.spec)
  const cluster = present ?? (await commitRecord(deps, draft.spec))
  const isNew = await commitFirstObjects(deps, cluster, draft)
  if (!isNew) {
    throw new StatusError('AlreadyExists', `${CLUSTERS} "${draft.spec.displayName}" already exists`)
  }
  await deps.bus.publish(TOPICS.changes, {
    attributes: { cluster: cluster.metadata.name },
    data: '{}',
    orderingKey: cluster.metadata.name,
  })
  return cluster
}

async function commitRecord(deps: FleetDeps, spec: ClusterSpec): Promise<Cluster> {
  const now = deps.clock.now()
  const id = clusterId(spec, now)
  const cluster: Cluster = {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'Cluster',
    metadata: {
      name: id,
      uid: derivedUid('cluster', id),
      creationTimestamp: formatTime(now),
      generation: 1,
    },
    spec,
    status: { phase: 'Running' },
  }
  const fleet = await deps.views.open(FLEET)
  await fleet.commit({
    id: `create-${id}`,
    cause: { actor: 'function:clusters', verb: 'create', detail: spec.displayName },
    writes: [{ key: keyOf(CLUSTERS, '', id), object: cluster, expect: null }],
  })
  return cluster
}

/** True when this call made them; false when they were there already. */
async function commitFirstObjects(
  deps: FleetDeps,
  cluster: Cluster,
  draft: ClusterDraft,
): Promise<boolean> {
  const id = cluster.metadata.name
  const live = await deps.views.open(id)
  if ((await live.catchUp()).get(keyOf('namespaces', '', 'default'))) return false
  const now = deps.clock.now()
  const objects: KubeObject[] = [
    ...bootstrapObjects({ now, ca: draft.ca }),
    ...draft.nodePools.map((pool) => nodePool(id, pool, now)),
  ]
  const writes: Write[] = objects.map((object) => ({
    key: keyOfObject(object),
    object,
    expect: null,
  }))
  try {
    await live.commit({
      id: `first-${id}`,
      cause: { actor: 'function:clusters', verb: 'create', detail: 'first objects' },
      writes,
    })
    return true
  } catch (error) {
    if (isReason(error, 'AlreadyExists')) return false
    throw error
  }
}

/** A NodePool as it is stored; also for pools that are added later. */
export function nodePool(cluster: string, draft: NodePoolDraft, now: number): NodePool {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: {
      name: draft.name,
      uid: derivedUid('nodepool', cluster, draft.name, now),
      creationTimestamp: formatTime(now),
      generation: 1,
    },
    spec: draft.spec,
  }
}

function isCluster(object: KubeObject): object is Cluster {
  return object.kind === 'Cluster' && 'spec' in object
}
