// The shapes of the scheduler's rules. A filter says why a pod cannot go to a node; a score says how
// good a node is. Both first look at the pod and may find that they have nothing to say about it.

import type { Pod } from '../api/pod.ts'
import type { PodDemand } from './resources.ts'
import type { Slot, Snapshot } from './snapshot.ts'

export interface Candidate {
  pod: Pod
  demand: PodDemand
  snapshot: Snapshot
}

/** Why a node will not do, in Kubernetes' words; several at once for resources. */
export interface Refusal {
  reasons: readonly string[]
  /** Taking other pods off the node could help. */
  isHelpedByPreemption: boolean
}

/** Answers the check of one node, or undefined when the rule does not concern the pod. */
export type Filter = (candidate: Candidate) => ((slot: Slot) => Refusal | undefined) | undefined

/**
 * Answers points for one node, or undefined when the rule does not concern the pod. `scale`: which
 * points are best: `most` (the most points get 100), `least` (none get 100), or `percent` as they are.
 */
export interface Score {
  name: string
  weight: number
  scale: 'most' | 'least' | 'percent'
  points(candidate: Candidate): ((slot: Slot) => number) | undefined
}

/** A refusal that no other pod's leaving could change. */
export function never(reason: string): Refusal {
  return { reasons: [reason], isHelpedByPreemption: false }
}

/** A refusal for what other pods hold. */
export function notNow(...reasons: string[]): Refusal {
  return { reasons, isHelpedByPreemption: true }
}
