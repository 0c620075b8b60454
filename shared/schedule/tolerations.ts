// Taints and tolerations, as Kubernetes' Toleration.ToleratesTaint.

import type { Taint } from '../api/node.ts'
import type { Toleration } from '../api/pod.ts'

/** True when one of the tolerations bears the taint. */
export function isTolerated(taint: Taint, tolerations: readonly Toleration[] | undefined): boolean {
  return tolerations?.some((toleration) => tolerates(toleration, taint)) ?? false
}

/** True when the toleration bears the taint. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  if (toleration.operator === 'Exists') return true
  // Without a key only Exists says anything.
  return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '')
}
