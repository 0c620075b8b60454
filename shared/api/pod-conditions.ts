// What controllers ask of a pod: is it ready, available, alive, finished.
// Same answers as Kubernetes' api/v1/pod and controller.IsPodActive.

import { parseTime } from '../time.ts'
import { conditionOf } from './conditions.ts'
import type { Pod } from './pod.ts'

/** True when the pod's Ready condition is True. */
export function isPodReady(pod: Pod): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True'
}

/** True when the pod has been ready for `minReadySeconds` at `now` (ms). */
export function isPodAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  const at = podAvailableAt(pod, minReadySeconds)
  return at !== undefined && at <= now
}

/** When (ms) the pod is available if it stays ready; undefined when it is not ready. */
export function podAvailableAt(pod: Pod, minReadySeconds: number): number | undefined {
  const ready = conditionOf(pod, 'Ready')
  if (ready?.status !== 'True') return undefined
  if (minReadySeconds <= 0) return 0
  const since = parseTime(ready.lastTransitionTime)
  return since === undefined ? undefined : since + minReadySeconds * 1000
}

/** True when the pod has ended for good: Succeeded or Failed. */
export function isPodTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/** True when the pod counts as one of its controller's replicas: not ended and not being deleted. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined
}
