// spec.nodeSelector and required node affinity: all of the one, one term of the other.

import type { Pod } from '../../api/pod.ts'
import { matchesTerm } from '../node-terms.ts'
import { never } from '../rule.ts'
import type { Filter } from '../rule.ts'
import type { Slot } from '../snapshot.ts'

const REFUSAL = never("node(s) didn't match Pod's node affinity/selector")

/** The check of a node for this pod; undefined when any node will do. */
export function nodeAffinityOf({ spec }: Pod): ((slot: Slot) => boolean) | undefined {
  const wanted = Object.entries(spec.nodeSelector ?? {})
  const terms =
    spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  if (wanted.length === 0 && !terms) return undefined
  return (slot) =>
    wanted.every(([key, value]) => slot.labels[key] === value) &&
    (!terms || terms.some((term) => matchesTerm(term, slot)))
}

export const nodeAffinity: Filter = ({ pod }) => {
  const isMatch = nodeAffinityOf(pod)
  if (!isMatch) return undefined
  return (slot) => (isMatch(slot) ? undefined : REFUSAL)
}
