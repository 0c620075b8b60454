// What a ReplicaSet says of its pods.

import { isPodAvailable, isPodReady, podAvailableAt } from '../../api/pod-conditions.ts'
import type { Condition } from '../../api/meta.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet, ReplicaSetStatus } from '../../api/replica-set.ts'
import { formatTime } from '../../time.ts'

/** The condition of a set that cannot make its pods. */
export const REPLICA_FAILURE = 'ReplicaFailure'

export interface StatusReport {
  status: ReplicaSetStatus
  /** When the next ready pod will have been ready for minReadySeconds. */
  nextAvailableAtMs?: number
}

/**
 * Counts the active pods, as Kubernetes' calculateStatus. `refusal`: why no more pods could be made.
 */
export function replicaSetStatus(
  set: ReplicaSet,
  active: readonly Pod[],
  now: number,
  refusal?: string,
): StatusReport {
  const minReady = set.spec.minReadySeconds ?? 0
  const labels = Object.entries(set.spec.template?.metadata?.labels ?? {})
  const isLabelled = ({ metadata }: Pod): boolean =>
    labels.every(([key, value]) => metadata.labels?.[key] === value)
  const conditions = withFailure(set.status?.conditions, refusal, now)
  const { generation } = set.metadata
  const waiting = active.flatMap((pod) => {
    const at = podAvailableAt(pod, minReady)
    return at !== undefined && at > now ? [at] : []
  })
  return {
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter(isLabelled).length,
      readyReplicas: active.filter(isPodReady).length,
      availableReplicas: active.filter((pod) => isPodAvailable(pod, minReady, now)).length,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      ...(conditions ? { conditions } : {}),
    },
    ...(waiting.length > 0 ? { nextAvailableAtMs: Math.min(...waiting) } : {}),
  }
}

/** ReplicaFailure, there as long as pods cannot be made. */
function withFailure(
  conditions: Condition[] | undefined,
  refusal: string | undefined,
  now: number,
): Condition[] | undefined {
  const old = conditions?.find(({ type }) => type === REPLICA_FAILURE)
  const others = conditions?.filter((each) => each !== old) ?? []
  if (refusal === undefined)
    return old && others.length === 0 ? undefined : old ? others : conditions
  if (old) return [...others, { ...old, message: refusal }]
  const condition: Condition = {
    type: REPLICA_FAILURE,
    status: 'True',
    reason: 'FailedCreate',
    message: refusal,
    lastTransitionTime: formatTime(now),
  }
  return [...others, condition]
}
