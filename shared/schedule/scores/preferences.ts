// What pods would like without insisting: nodes, neighbours, spread; and nodes without taints that
// ask to be avoided.

import type { Pod, PodAffinityTerm } from '../../api/pod.ts'
import { byDomain, countOf } from '../affinity-terms.ts'
import { spreadsOf } from '../filters/topology-spread.ts'
import { matchesTerm } from '../node-terms.ts'
import type { Candidate, Score } from '../rule.ts'
import type { Slot } from '../snapshot.ts'
import { isTolerated } from '../tolerations.ts'

/** Preferred node affinity. */
export const nodePreference: Score = {
  name: 'node affinity',
  weight: 2,
  scale: 'most',
  points({ pod }) {
    const terms = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
    if (!terms?.length) return undefined
    return (slot) =>
      terms.reduce(
        (sum, { weight, preference }) => sum + (matchesTerm(preference, slot) ? weight : 0),
        0,
      )
  },
}

/** PreferNoSchedule taints. */
export const taintPreference: Score = {
  name: 'taints',
  weight: 3,
  scale: 'least',
  points({ pod, snapshot }) {
    if (!snapshot.taintEffects.has('PreferNoSchedule')) return undefined
    return ({ taints }) =>
      taints.filter(
        (taint) => taint.effect === 'PreferNoSchedule' && !isTolerated(taint, pod.spec.tolerations),
      ).length
  },
}

/** Preferred pod affinity and anti-affinity. */
export const podPreference: Score = {
  name: 'pod affinity',
  weight: 2,
  scale: 'most',
  points(candidate) {
    const { podAffinity, podAntiAffinity } = candidate.pod.spec.affinity ?? {}
    const near = podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
    const far = podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
    if (near.length === 0 && far.length === 0) return undefined
    const pulls = [
      ...near.map(({ weight, podAffinityTerm }) => pull(candidate, podAffinityTerm, weight)),
      ...far.map(({ weight, podAffinityTerm }) => pull(candidate, podAffinityTerm, -weight)),
    ]
    return (slot) => pulls.reduce((sum, each) => sum + each(slot), 0)
  },
}

function pull(
  { pod, snapshot }: { pod: Pod } & Pick<Candidate, 'snapshot'>,
  term: PodAffinityTerm,
  weight: number,
): (slot: Slot) => number {
  const domains = byDomain(snapshot.slots, term.topologyKey, countOf(snapshot, pod, term))
  return ({ labels }) => (domains.get(labels[term.topologyKey] ?? '') ?? 0) * weight
}

/** Topology spread with ScheduleAnyway. */
export const spreadPreference: Score = {
  name: 'topology spread',
  weight: 2,
  scale: 'least',
  points(candidate) {
    const constraints = candidate.pod.spec.topologySpreadConstraints?.filter(
      ({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway',
    )
    if (!constraints?.length) return undefined
    const spreads = spreadsOf(candidate, constraints)
    return ({ labels }) =>
      spreads.reduce((sum, { key, domains }) => sum + (domains.get(labels[key] ?? '') ?? 0), 0)
  },
}
