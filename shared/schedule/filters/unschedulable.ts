// A cordoned node takes no new pods, except those that tolerate it.

import { isTolerated } from '../tolerations.ts'
import { never } from '../rule.ts'
import type { Filter } from '../rule.ts'

const REFUSAL = never('node(s) were unschedulable')

export const unschedulable: Filter = ({ pod, snapshot }) => {
  if (!snapshot.isAnyUnschedulable) return undefined
  const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const
  if (isTolerated(taint, pod.spec.tolerations)) return undefined
  return (slot) => (slot.isUnschedulable ? REFUSAL : undefined)
}
