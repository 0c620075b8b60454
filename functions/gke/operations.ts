// Long-running operations of the GKE API. Only that one was asked for is stored (in the fleet); how
// far it is follows from the cluster itself, so no step can be lost between two writes.

import { CLUSTERS, FLEET, type Cluster } from '#shared/api/cluster.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { derivedUid, safeName } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import type { Node } from '#shared/api/node.ts'
import { NODE_POOL_LABEL } from '#shared/api/node-pool.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Write } from '#shared/ports/store.ts'
import { formatTime, parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { GoogleError } from './errors.ts'

export const OPERATIONS = 'operations.container.wherry.dev'

export type OperationType =
  | 'CREATE_CLUSTER'
  | 'DELETE_CLUSTER'
  | 'UPDATE_CLUSTER'
  | 'UPGRADE_MASTER'
  | 'CREATE_NODE_POOL'
  | 'DELETE_NODE_POOL'
  | 'SET_NODE_POOL_SIZE'
  | 'UPGRADE_NODES'

export interface OperationSpec {
  type: OperationType
  project: string
  location: string
  /** The cluster's id and the name people know. */
  cluster: string
  displayName: string
  pool?: string
}

interface Operation extends KubeObject {
  spec: OperationSpec
}

interface Deps {
  views: LiveViews
  clock: Clock
}

/** How long VMs may take before the operation says that they do not come. */
const DEADLINE_MS = 10 * 60_000
/** Finished operations are listed this long. */
const KEPT_MS = 24 * 3_600_000

/** Records the operation, forgets outdated ones in the same commit, and answers its wire form. */
export async function beginOperation(
  deps: Deps,
  spec: OperationSpec,
): Promise<Record<string, unknown>> {
  const now = deps.clock.now()
  const name = `operation-${now}-${safeName(8, spec.type, spec.cluster, spec.pool ?? '', now)}`
  const operation: Operation = {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'Operation',
    metadata: { name, uid: derivedUid('operation', name), creationTimestamp: formatTime(now) },
    spec,
  }
  const fleet = await deps.views.open(FLEET)
  const outdated: Write[] = (await fleet.catchUp())
    .list(OPERATIONS)
    .filter((old) => now - (parseTime(old.metadata.creationTimestamp) ?? now) > KEPT_MS)
    .map((old) => ({
      key: keyOf(OPERATIONS, '', old.metadata.name),
      object: null,
      expect: old.metadata.resourceVersion ?? null,
    }))
  await fleet.commit({
    id: name,
    cause: { actor: 'function:gke', verb: 'create', detail: spec.type },
    writes: [{ key: keyOf(OPERATIONS, '', name), object: operation, expect: null }, ...outdated],
  })
  return toWire(deps, operation)
}

/** One operation as it stands now. Error: NOT_FOUND. */
export async function readOperation(
  deps: Deps,
  project: string,
  name: string,
): Promise<Record<string, unknown>> {
  const fleet = await (await deps.views.open(FLEET)).catchUp()
  const operation = fleet.get(keyOf(OPERATIONS, '', name))
  if (!operation || !isOperation(operation) || operation.spec.project !== project) {
    throw new GoogleError('NOT_FOUND', `Not found: operation ${name}.`)
  }
  return toWire(deps, operation)
}

/** All operations of a project; `-` as location means everywhere. */
export async function listOperations(
  deps: Deps,
  project: string,
  location: string,
): Promise<Record<string, unknown>[]> {
  const fleet = await (await deps.views.open(FLEET)).catchUp()
  const mine = fleet
    .list(OPERATIONS)
    .filter(isOperation)
    .filter(
      ({ spec }) => spec.project === project && (location === '-' || spec.location === location),
    )
  return Promise.all(mine.map((operation) => toWire(deps, operation)))
}

async function toWire(deps: Deps, operation: Operation): Promise<Record<string, unknown>> {
  const { spec, metadata } = operation
  const progress = await progressOf(deps, operation)
  const target = `projects/${spec.project}/zones/${spec.location}/clusters/${spec.displayName}`
  return {
    name: metadata.name,
    operationType: spec.type,
    zone: spec.location,
    location: spec.location,
    status: progress.isDone ? 'DONE' : 'RUNNING',
    ...(progress.failure ? { statusMessage: progress.failure } : {}),
    ...(progress.detail ? { detail: progress.detail } : {}),
    progress: {
      metrics: [
        { name: 'NODES_READY', intValue: String(progress.ready) },
        { name: 'NODES_TOTAL', intValue: String(progress.wanted) },
      ],
    },
    startTime: metadata.creationTimestamp,
    ...(progress.isDone
      ? {
          endTime: formatTime(
            Math.max(progress.endedAtMs ?? 0, parseTime(metadata.creationTimestamp) ?? 0),
          ),
        }
      : {}),
    selfLink: `projects/${spec.project}/zones/${spec.location}/operations/${metadata.name}`,
    targetLink: spec.pool ? `${target}/nodePools/${spec.pool}` : target,
  }
}

interface Progress {
  isDone: boolean
  ready: number
  wanted: number
  /** When the last node became ready. */
  endedAtMs?: number
  failure?: string
  detail?: string
}

async function progressOf(deps: Deps, operation: Operation): Promise<Progress> {
  const { spec, metadata } = operation
  const fleet = await (await deps.views.open(FLEET)).catchUp()
  const cluster = fleet.get(keyOf(CLUSTERS, '', spec.cluster)) as Cluster | undefined
  if (spec.type === 'DELETE_CLUSTER') return { isDone: !cluster, ready: 0, wanted: 0 }
  if (!cluster || cluster.metadata.deletionTimestamp) {
    return { isDone: true, ready: 0, wanted: 0, failure: 'The cluster was deleted.' }
  }
  const reader = await (await deps.views.open(spec.cluster)).catchUp()
  const counts = nodeCounts(reader, spec.pool)
  const isDone =
    spec.type === 'DELETE_NODE_POOL'
      ? !counts.poolIsThere
      : counts.ready === counts.wanted && counts.isStable
  const age = deps.clock.now() - (parseTime(metadata.creationTimestamp) ?? 0)
  if (isDone || age < DEADLINE_MS) {
    const detail = isDone ? undefined : `${counts.ready} of ${counts.wanted} nodes are ready.`
    const { ready, wanted, endedAtMs } = counts
    return { isDone, ready, wanted, endedAtMs, ...(detail ? { detail } : {}) }
  }
  return {
    isDone: true,
    ready: counts.ready,
    wanted: counts.wanted,
    failure: counts.message ?? `Only ${counts.ready} of ${counts.wanted} nodes became ready.`,
  }
}

interface NodeCounts {
  wanted: number
  ready: number
  /** No VM is left that should go. */
  isStable: boolean
  poolIsThere: boolean
  endedAtMs: number
  message?: string
}

function nodeCounts(reader: Reader, pool: string | undefined): NodeCounts {
  const pools = (reader.list('nodepools.container.wherry.dev') as readonly NodePool[]).filter(
    (candidate) => pool === undefined || candidate.metadata.name === pool,
  )
  const nodes = (reader.list('nodes') as readonly Node[]).filter(
    (node) => pool === undefined || node.metadata.labels?.[NODE_POOL_LABEL] === pool,
  )
  const message = pools.find((candidate) => candidate.status?.message)?.status?.message
  const wanted = sum(pools.map((candidate) => candidate.spec.nodeCount))
  const ready = nodes
    .flatMap((node) => conditionOf(node, 'Ready') ?? [])
    .filter(({ status }) => status === 'True')
  return {
    wanted,
    ready: ready.length,
    endedAtMs: Math.max(
      0,
      ...ready.map((condition) => parseTime(condition.lastTransitionTime) ?? 0),
    ),
    isStable: nodes.length === wanted,
    poolIsThere: pools.length > 0,
    ...(message ? { message } : {}),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function isOperation(object: KubeObject): object is Operation {
  return object.kind === 'Operation' && 'spec' in object
}
