// What a Deployment says of its sets, and whether it still makes progress.

import type { Deployment, DeploymentStatus } from '../../api/deployment.ts'
import type { Condition } from '../../api/meta.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { parseTime } from '../../time.ts'
import type { Outcome } from '../outcome.ts'
import {
  findCondition,
  hasProgressDeadline,
  REASON,
  removeCondition,
  renewCondition,
  setCondition,
} from './conditions.ts'
import { allSets, budget, totalAvailable, totalSize, wanted } from './world.ts'
import type { World } from './world.ts'

/** Writes the counts, and leaves the progress as it is: for paused Deployments and while scaling. */
export function reportCounts(world: World): Outcome {
  return { writes: [{ do: 'put', object: withStatus(world.deployment, countedStatus(world)) }] }
}

/** Writes counts and progress, and asks to be woken at the progress deadline. */
export function reportRollout(world: World): Outcome {
  const { deployment, now } = world
  const counted = countedStatus(world)
  const status = withReplicaFailure(withProgress(world, counted), world)
  const object = withStatus(deployment, status)
  const atMs = deadlineOf(object)
  return {
    writes: [{ do: 'put', object }],
    ...(atMs === undefined || atMs <= now ? {} : { requeueAtMs: atMs }),
  }
}

/** True when all wanted pods are of the current template and available, and no other is left. */
export function isComplete(deployment: Deployment, status = deployment.status): boolean {
  const size = wanted(deployment)
  return (
    (status?.updatedReplicas ?? 0) === size &&
    (status?.replicas ?? 0) === size &&
    (status?.availableReplicas ?? 0) === size &&
    (status?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  )
}

/** The counts of the sets as they are now, and Available. */
export function countedStatus(world: World): DeploymentStatus {
  const { deployment, newSet, now } = world
  const sets = allSets(world)
  const available = totalAvailable(sets)
  const isAvailable = available >= wanted(deployment) - budget(deployment).unavailable
  const { generation } = deployment.metadata
  const { collisionCount, conditions } = deployment.status ?? {}
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    replicas: sum(sets, (set) => set.status?.replicas),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: sum(sets, (set) => set.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, totalSize(sets) - available),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: setCondition(
      conditions,
      {
        type: 'Available',
        status: isAvailable ? 'True' : 'False',
        reason: isAvailable ? REASON.available : REASON.unavailable,
        message: isAvailable
          ? 'Deployment has minimum availability.'
          : 'Deployment does not have minimum availability.',
      },
      now,
    ),
  }
}

function sum(sets: readonly ReplicaSet[], count: (set: ReplicaSet) => number | undefined): number {
  return sets.reduce((total, set) => total + (count(set) ?? 0), 0)
}

function withStatus(deployment: Deployment, status: DeploymentStatus): Deployment {
  return { ...deployment, status }
}

/** The status with Progressing as the new counts, compared with the old, make it. */
function withProgress(world: World, status: DeploymentStatus): DeploymentStatus {
  const { deployment, newSet, now } = world
  const { conditions } = status
  if (!hasProgressDeadline(deployment)) {
    return { ...status, conditions: removeCondition(conditions, 'Progressing') }
  }
  const old = findCondition(deployment.status?.conditions, 'Progressing')
  const isDone =
    status.replicas === status.updatedReplicas && old?.reason === REASON.newSetAvailable
  if (isDone) return status

  const subject = newSet
    ? `ReplicaSet "${newSet.metadata.name}"`
    : `Deployment "${deployment.metadata.name}"`
  if (isComplete(deployment, status)) {
    const condition = progress(
      'True',
      REASON.newSetAvailable,
      `${subject} has successfully progressed.`,
    )
    return { ...status, conditions: setCondition(conditions, condition, now) }
  }
  if (hasProgressed(deployment.status, status)) {
    const condition = progress('True', REASON.newSetUpdated, `${subject} is progressing.`)
    return { ...status, conditions: renewCondition(conditions, condition, now) }
  }
  const deadline = deadlineOf(deployment)
  if (old?.reason === REASON.timedOut || (deadline !== undefined && deadline <= now)) {
    const condition = progress('False', REASON.timedOut, `${subject} has timed out progressing.`)
    return { ...status, conditions: setCondition(conditions, condition, now) }
  }
  return status
}

function progress(
  status: Condition['status'],
  reason: string,
  message: string,
): Pick<Condition, 'type' | 'status' | 'reason' | 'message'> {
  return { type: 'Progressing', status, reason, message }
}

/** True when anything moved in the right direction. */
function hasProgressed(old: DeploymentStatus | undefined, next: DeploymentStatus): boolean {
  const outdated = (status: DeploymentStatus | undefined): number =>
    (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0)
  return (
    (next.updatedReplicas ?? 0) > (old?.updatedReplicas ?? 0) ||
    outdated(next) < outdated(old) ||
    (next.readyReplicas ?? 0) > (old?.readyReplicas ?? 0) ||
    (next.availableReplicas ?? 0) > (old?.availableReplicas ?? 0)
  )
}

/** When the Deployment counts as stuck; undefined when it is done, stuck already, or has no deadline. */
function deadlineOf(deployment: Deployment): number | undefined {
  const { spec, status } = deployment
  const condition = findCondition(status?.conditions, 'Progressing')
  if (!condition || !hasProgressDeadline(deployment)) return undefined
  if (condition.reason === REASON.newSetAvailable || condition.reason === REASON.timedOut) {
    return undefined
  }
  const since = parseTime(condition.lastUpdateTime)
  if (since === undefined || spec.paused) return undefined
  return since + (spec.progressDeadlineSeconds ?? 600) * 1000
}

/** ReplicaFailure as the sets have it, the new one first. */
function withReplicaFailure(status: DeploymentStatus, world: World): DeploymentStatus {
  const sets = world.newSet ? [world.newSet, ...world.oldSets] : world.oldSets
  const failure = sets
    .map((set) => findCondition(set.status?.conditions, 'ReplicaFailure'))
    .find((condition) => condition !== undefined)
  const conditions = failure
    ? setCondition(status.conditions, failure, world.now)
    : removeCondition(status.conditions, 'ReplicaFailure')
  return { ...status, conditions }
}
