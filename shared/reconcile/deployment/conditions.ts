// A Deployment's conditions: Available, Progressing, ReplicaFailure. Unlike other kinds' they also
// carry the time of the last update, by which progress is judged.

import type { Deployment } from '../../api/deployment.ts'
import type { Condition } from '../../api/meta.ts'
import { formatTime } from '../../time.ts'

/** Why a Deployment progresses or does not, in Kubernetes' words. */
export const REASON = {
  newSetCreated: 'NewReplicaSetCreated',
  newSetFound: 'FoundNewReplicaSet',
  newSetUpdated: 'ReplicaSetUpdated',
  newSetAvailable: 'NewReplicaSetAvailable',
  timedOut: 'ProgressDeadlineExceeded',
  paused: 'DeploymentPaused',
  resumed: 'DeploymentResumed',
  available: 'MinimumReplicasAvailable',
  unavailable: 'MinimumReplicasUnavailable',
} as const

/** The condition of this type. */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/**
 * The list with this condition at its end. One with the same status and reason is left as it is,
 * times included; the time of the transition moves only with the status.
 */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  condition: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>,
  now: number,
): Condition[] {
  const old = findCondition(conditions, condition.type)
  if (old?.status === condition.status && old.reason === condition.reason) {
    return [...(conditions ?? [])]
  }
  return renewCondition(conditions, condition, now)
}

/** The same, and the time of the last update moves in any case. */
export function renewCondition(
  conditions: readonly Condition[] | undefined,
  condition: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>,
  now: number,
): Condition[] {
  const old = findCondition(conditions, condition.type)
  const time = formatTime(now)
  const lastTransitionTime = old?.status === condition.status ? old.lastTransitionTime : time
  return [
    ...removeCondition(conditions, condition.type),
    { ...condition, lastUpdateTime: time, lastTransitionTime: lastTransitionTime ?? time },
  ]
}

/** The list without the condition of this type. */
export function removeCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition[] {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}

/** True when the Deployment has a deadline for making progress at all. */
export function hasProgressDeadline({ spec }: Deployment): boolean {
  return spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds < 2_147_483_647
}
