// What a ReplicaSet says of its pods.

import { isPodAvailable, isPodReady, podAvailableAt } from '../../api/pod-conditions.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet, ReplicaSetStatus } from '../../api/replica-set.ts'

export interface StatusReport {
  status: ReplicaSetStatus
  /** When the next ready pod will have been ready for minReadySeconds. */
  nextAvailableAtMs?: number
}

/** Counts the active pods, as Kubernetes' calculateStatus. */
export function replicaSetStatus(
  set: ReplicaSet,
  active: readonly Pod[],
  now: number,
): StatusReport {
  const minReady = set.spec.minReadySeconds ?? 0
  const labels = Object.entries(set.spec.template?.metadata?.labels ?? {})
  const isLabelled = ({ metadata }: Pod): boolean =>
    labels.every(([key, value]) => metadata.labels?.[key] === value)
  const { conditions } = set.status ?? {}
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
