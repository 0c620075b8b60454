// Node selectors: spec.nodeSelector and the terms of node affinity.

import type { NodeSelectorTerm } from '../api/pod.ts'
import { matches } from '../selector.ts'
import type { Slot } from './snapshot.ts'

/** True when all expressions of the term hold; a term that asks nothing matches nothing. */
export function matchesTerm(term: NodeSelectorTerm, slot: Slot): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  const onLabels = matchExpressions.map((each) => ({ ...each, values: each.values ?? [] }))
  const onFields = matchFields.map((each) => ({ ...each, values: each.values ?? [] }))
  return matches(onLabels, slot.labels) && matches(onFields, { 'metadata.name': slot.name })
}
