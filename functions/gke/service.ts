// What the GKE API does: one function a verb, on the fleet and on a cluster's NodePools.

import { CLUSTERS, FLEET, type Cluster } from '#shared/api/cluster.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { NODE_POOL_FINALIZER } from '#shared/api/node-pool.ts'
import { keyOf } from '#shared/key.ts'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Store } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import { createCluster, findCluster, listClusters, nodePool } from '../clusters/fleet.ts'
import { beginTeardown } from '../clusters/teardown.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { checkCount, checkName, poolDraft, poolDrafts, zoneOf } from './draft.ts'
import { clusterNotFound, GoogleError } from './errors.ts'
import { beginOperation, type OperationType } from './operations.ts'
import {
  clusterLink,
  clusterToWire,
  labelFingerprint,
  nodePoolToWire,
  type ClusterAccess,
  type ClusterBody,
  type NodePoolBody,
} from './wire.ts'

export interface GkeDeps {
  store: Store
  views: LiveViews
  bus: Bus
  clock: Clock
  /** Opens (locally: starts to listen on) the cluster's endpoint, or says where it is. */
  access(cluster: Cluster): Promise<ClusterAccess>
}

export interface Place {
  project: string
  location: string
}

type Wire = Record<string, unknown>

export const NODE_POOLS = 'nodepools.container.wherry.dev'
const ATTEMPTS_MAX = 5

export async function createClusterFromBody(
  deps: GkeDeps,
  place: Place,
  body: ClusterBody,
): Promise<Wire> {
  const displayName = checkName('cluster.name', body.name)
  zoneOf(place.location)
  const spec: Cluster['spec'] = {
    project: place.project,
    location: place.location,
    displayName,
    ...(body.resourceLabels ? { resourceLabels: body.resourceLabels } : {}),
  }
  const nodePools = poolDrafts(place.location, body)
  const present = await findCluster(deps, spec)
  if (present) throw alreadyExists(present)
  const { ca } = await deps.access(provisional(spec))
  try {
    const cluster = await createCluster(deps, { spec, nodePools, ca })
    return await begin(deps, 'CREATE_CLUSTER', cluster)
  } catch (error) {
    if (isReason(error, 'AlreadyExists')) {
      throw new GoogleError('ALREADY_EXISTS', `Already exists: ${clusterLink(spec)}.`, {
        cause: error,
      })
    }
    throw error
  }
}

/** For asking which CA will sign, before there is a record. */
function provisional(spec: Cluster['spec']): Cluster {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'Cluster',
    metadata: { name: '', uid: '', creationTimestamp: '' },
    spec,
  }
}

export async function listClustersAt(deps: GkeDeps, place: Place): Promise<Wire[]> {
  const clusters = (await listClusters(deps)).filter(
    ({ spec }) =>
      spec.project === place.project &&
      (place.location === '-' || spec.location === place.location),
  )
  return Promise.all(clusters.map((cluster) => describe(deps, cluster)))
}

export async function describeCluster(deps: GkeDeps, place: Place, name: string): Promise<Wire> {
  return describe(deps, await mustFind(deps, place, name))
}

export async function deleteCluster(deps: GkeDeps, place: Place, name: string): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  const operation = await begin(deps, 'DELETE_CLUSTER', cluster)
  await beginTeardown(deps, cluster)
  return operation
}

/** `update.desiredMasterVersion` and the like: versions come with the functions, nothing to do. */
export async function updateCluster(
  deps: GkeDeps,
  place: Place,
  name: string,
  body: { update?: Record<string, unknown> },
): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  const others = Object.keys(body.update ?? {}).filter((field) => !VERSION_FIELDS.has(field))
  if (others.length > 0) {
    throw new GoogleError('INVALID_ARGUMENT', `This cluster cannot change: ${others.join(', ')}.`)
  }
  const isMaster = body.update?.['desiredMasterVersion'] !== undefined
  return begin(deps, isMaster ? 'UPGRADE_MASTER' : 'UPGRADE_NODES', cluster)
}

/** There is one version: asking for it is an upgrade that is done. */
const VERSION_FIELDS = new Set(['desiredMasterVersion', 'desiredNodeVersion', 'desiredNodePoolId'])

export async function setResourceLabels(
  deps: GkeDeps,
  place: Place,
  name: string,
  body: { resourceLabels?: Record<string, string>; labelFingerprint?: string },
): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  const seen = labelFingerprint(cluster.spec.resourceLabels)
  if (body.labelFingerprint && body.labelFingerprint !== seen) {
    throw new GoogleError(
      'FAILED_PRECONDITION',
      'Labels could not be set due to fingerprint mismatch.',
    )
  }
  await change(deps, FLEET, keyOf(CLUSTERS, '', cluster.metadata.name), (object) => ({
    ...object,
    spec: { ...cluster.spec, resourceLabels: body.resourceLabels ?? {} },
  }))
  return begin(deps, 'UPDATE_CLUSTER', cluster)
}

export async function listNodePools(deps: GkeDeps, place: Place, name: string): Promise<Wire[]> {
  return (await poolsOf(deps, await mustFind(deps, place, name))).map(nodePoolToWire)
}

export async function describeNodePool(
  deps: GkeDeps,
  place: Place,
  name: string,
  pool: string,
): Promise<Wire> {
  return nodePoolToWire(await mustFindPool(deps, await mustFind(deps, place, name), pool))
}

export async function createNodePool(
  deps: GkeDeps,
  place: Place,
  name: string,
  body: NodePoolBody,
): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  const draft = poolDraft(place.location, body)
  const id = cluster.metadata.name
  const object = nodePool(id, draft, deps.clock.now())
  const live = await deps.views.open(id)
  await live.catchUp()
  try {
    await live.commit({
      id: `pool-${object.metadata.uid}`,
      cause: { actor: 'function:gke', verb: 'create', detail: draft.name },
      writes: [{ key: keyOf(NODE_POOLS, '', draft.name), object, expect: null }],
    })
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error
    const link = `${clusterLink(cluster.spec)}/nodePools/${draft.name}`
    throw new GoogleError('ALREADY_EXISTS', `Already exists: ${link}.`, { cause: error })
  }
  await wake(deps, id)
  return begin(deps, 'CREATE_NODE_POOL', cluster, draft.name)
}

export async function setNodePoolSize(
  deps: GkeDeps,
  place: Place,
  name: string,
  pool: string,
  nodeCount: unknown,
): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  const count = checkCount('node_count', nodeCount ?? 0)
  await mustFindPool(deps, cluster, pool)
  const id = cluster.metadata.name
  await change(deps, id, keyOf(NODE_POOLS, '', pool), (object) => {
    const { spec, metadata } = object as NodePool
    return {
      ...object,
      metadata: { ...metadata, generation: (metadata.generation ?? 1) + 1 },
      spec: { ...spec, nodeCount: count },
    }
  })
  await wake(deps, id)
  return begin(deps, 'SET_NODE_POOL_SIZE', cluster, pool)
}

export async function deleteNodePool(
  deps: GkeDeps,
  place: Place,
  name: string,
  pool: string,
): Promise<Wire> {
  const cluster = await mustFind(deps, place, name)
  await mustFindPool(deps, cluster, pool)
  const id = cluster.metadata.name
  await change(deps, id, keyOf(NODE_POOLS, '', pool), (object) =>
    object.metadata.finalizers?.includes(NODE_POOL_FINALIZER)
      ? {
          ...object,
          metadata: {
            ...object.metadata,
            deletionTimestamp: object.metadata.deletionTimestamp ?? formatTime(deps.clock.now()),
          },
        }
      : null,
  )
  await wake(deps, id)
  return begin(deps, 'DELETE_NODE_POOL', cluster, pool)
}

async function begin(
  deps: GkeDeps,
  type: OperationType,
  cluster: Cluster,
  pool?: string,
): Promise<Wire> {
  const { project, location, displayName } = cluster.spec
  return beginOperation(deps, {
    type,
    project,
    location,
    cluster: cluster.metadata.name,
    displayName,
    ...(pool ? { pool } : {}),
  })
}

async function describe(deps: GkeDeps, cluster: Cluster): Promise<Wire> {
  const reader = await (await deps.views.open(cluster.metadata.name)).catchUp()
  const pools = reader.list(NODE_POOLS) as readonly NodePool[]
  return clusterToWire(cluster, pools, await deps.access(cluster), reader.list('nodes').length)
}

async function poolsOf(deps: GkeDeps, cluster: Cluster): Promise<readonly NodePool[]> {
  const reader = await (await deps.views.open(cluster.metadata.name)).catchUp()
  return reader.list(NODE_POOLS) as readonly NodePool[]
}

async function mustFind(deps: GkeDeps, place: Place, name: string): Promise<Cluster> {
  const cluster = await findCluster(deps, { ...place, displayName: name })
  if (!cluster) throw clusterNotFound(place.project, place.location, name)
  return cluster
}

async function mustFindPool(deps: GkeDeps, cluster: Cluster, pool: string): Promise<NodePool> {
  const found = (await poolsOf(deps, cluster)).find((candidate) => candidate.metadata.name === pool)
  if (found) return found
  throw new GoogleError('NOT_FOUND', `Not found: ${clusterLink(cluster.spec)}/nodePools/${pool}.`)
}

function alreadyExists(cluster: Cluster): GoogleError {
  const suffix = cluster.metadata.deletionTimestamp ? ' It is being deleted; try again soon.' : ''
  return new GoogleError('ALREADY_EXISTS', `Already exists: ${clusterLink(cluster.spec)}.${suffix}`)
}

/** Changes one stored object; on a Conflict reads it again. null removes it. */
async function change(
  deps: GkeDeps,
  cluster: string,
  key: string,
  edit: (object: KubeObject) => KubeObject | null,
): Promise<void> {
  const live = await deps.views.open(cluster)
  for (let attempt = 1; ; attempt++) {
    const object = (await live.catchUp()).get(key)
    if (!object) return
    const expect = object.metadata.resourceVersion ?? null
    try {
      await live.commit({
        id: `gke-${key.replaceAll('/', '.')}-${expect ?? 'none'}-${deps.clock.now()}`,
        cause: { actor: 'function:gke', verb: 'update' },
        writes: [{ key, object: edit(object), expect }],
      })
      return
    } catch (error) {
      if (!isReason(error, 'Conflict') || attempt >= ATTEMPTS_MAX) throw error
    }
  }
}

/** Both at once: the cloud function need not wait for the reconcile function to pass it on. */
async function wake(deps: GkeDeps, cluster: string): Promise<void> {
  const message = { attributes: { cluster }, data: '{}', orderingKey: cluster }
  await Promise.all([
    deps.bus.publish(TOPICS.changes, message),
    deps.bus.publish(TOPICS.cloud, message),
  ])
}
