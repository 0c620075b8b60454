// Topology spread with DoNotSchedule: no domain (zone, host …) may have maxSkew pods more than the
// emptiest one.

import type { LabelSelector } from '../../api/meta.ts'
import type { Pod, PodSpec } from '../../api/pod.ts'
import { matchesLabelSelector } from '../../selector.ts'
import { never, notNow } from '../rule.ts'
import type { Candidate, Filter } from '../rule.ts'
import type { Slot } from '../snapshot.ts'
import { nodeAffinityOf } from './node-affinity.ts'

const SKEWED = notNow("node(s) didn't match pod topology spread constraints")
const UNLABELLED = never(
  "node(s) didn't match pod topology spread constraints (missing required label)",
)

export type SpreadConstraint = NonNullable<PodSpec['topologySpreadConstraints']>[number]

/** How the pods that a constraint speaks of are spread over the domains. */
export interface Spread {
  key: string
  maxSkew: number
  /** 1 when the pod counts among those that it asks about. */
  self: number
  domains: ReadonlyMap<string, number>
  least: number
}

export const topologySpread: Filter = (candidate) => {
  const constraints = candidate.pod.spec.topologySpreadConstraints?.filter(
    ({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule',
  )
  if (!constraints?.length) return undefined
  const spreads = spreadsOf(candidate, constraints)
  return (slot) => {
    for (const { key, domains, self, least, maxSkew } of spreads) {
      const domain = slot.labels[key]
      if (domain === undefined) return UNLABELLED
      if ((domains.get(domain) ?? 0) + self - least > maxSkew) return SKEWED
    }
    return undefined
  }
}

/** The spread for each constraint, over the nodes that the pod may use and that have all the labels. */
export function spreadsOf(
  { pod, snapshot }: Candidate,
  constraints: readonly SpreadConstraint[],
): Spread[] {
  const isAllowed = nodeAffinityOf(pod)
  const isEligible = (slot: Slot): boolean =>
    constraints.every(({ topologyKey }) => slot.labels[topologyKey] !== undefined) &&
    (isAllowed?.(slot) ?? true)
  const eligible = snapshot.slots.filter(isEligible)
  return constraints.map((constraint) => {
    const selector = withLabelKeys(constraint, pod)
    const { byNode } = snapshot.count([pod.metadata.namespace ?? ''], selector)
    const domains = new Map<string, number>()
    for (const slot of eligible) {
      const domain = slot.labels[constraint.topologyKey] ?? ''
      domains.set(domain, (domains.get(domain) ?? 0) + (byNode[slot.index] ?? 0))
    }
    const isShort = domains.size < (constraint.minDomains ?? 1)
    return {
      key: constraint.topologyKey,
      maxSkew: constraint.maxSkew,
      self: matchesLabelSelector(selector, pod.metadata.labels) ? 1 : 0,
      domains,
      least: isShort || domains.size === 0 ? 0 : Math.min(...domains.values()),
    }
  })
}

/** The constraint's selector, narrowed to the pod's own values of matchLabelKeys. */
function withLabelKeys(
  { labelSelector, matchLabelKeys }: SpreadConstraint,
  { metadata }: Pod,
): LabelSelector | undefined {
  if (!matchLabelKeys?.length || !labelSelector) return labelSelector
  const own = matchLabelKeys.flatMap((key): [string, string][] => {
    const value = metadata.labels?.[key]
    return value === undefined ? [] : [[key, value]]
  })
  return {
    ...labelSelector,
    matchLabels: { ...labelSelector.matchLabels, ...Object.fromEntries(own) },
  }
}
