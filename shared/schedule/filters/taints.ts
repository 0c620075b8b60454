// A node's NoSchedule and NoExecute taints keep away pods that do not tolerate them.

import type { Taint } from '../../api/node.ts'
import { isTolerated } from '../tolerations.ts'
import { never } from '../rule.ts'
import type { Filter, Refusal } from '../rule.ts'

export const taints: Filter = ({ pod, snapshot }) => {
  const { taintEffects } = snapshot
  if (!taintEffects.has('NoSchedule') && !taintEffects.has('NoExecute')) return undefined
  const { tolerations } = pod.spec
  const known = new Map<readonly Taint[], Refusal | undefined>()
  return (slot) => {
    if (slot.taints.length === 0) return undefined
    if (known.has(slot.taints)) return known.get(slot.taints)
    const taint = slot.taints.find(
      (each) => each.effect !== 'PreferNoSchedule' && !isTolerated(each, tolerations),
    )
    const refusal = taint
      ? never(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`)
      : undefined
    known.set(slot.taints, refusal)
    return refusal
  }
}
