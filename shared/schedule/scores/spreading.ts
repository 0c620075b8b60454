// Pods of one controller are better on different nodes: losing one node must not lose them all.

import { controllerOf } from '../../api/owner.ts'
import type { Score } from '../rule.ts'

export const spreading: Score = {
  name: 'spreading',
  weight: 2,
  scale: 'least',
  points({ pod, snapshot }) {
    const owner = controllerOf(pod)
    if (!owner) return undefined
    const counts = snapshot.ofOwner(owner.uid)
    return ({ index }) => counts[index] ?? 0
  },
}
