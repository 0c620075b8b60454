// Required pod affinity and anti-affinity: near these pods, not near those, and not where a pod
// already there wants to be without this one.

import type { PodAffinityTerm } from '../../api/pod.ts'
import { byDomain, countOf, isMeant } from '../affinity-terms.ts'
import { never, notNow } from '../rule.ts'
import type { Candidate, Filter } from '../rule.ts'
import type { Slot } from '../snapshot.ts'

const NOT_NEAR = never("node(s) didn't match pod affinity rules")
const TOO_NEAR = notNow("node(s) didn't match pod anti-affinity rules")
const UNWELCOME = notNow("node(s) didn't satisfy existing pods anti-affinity rules")

export const podAffinity: Filter = (candidate) => {
  const { podAffinity, podAntiAffinity } = candidate.pod.spec.affinity ?? {}
  const near = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  const far = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  const guards = guardedDomains(candidate)
  if (near.length === 0 && far.length === 0 && guards.length === 0) return undefined

  const isNear = nearCheck(candidate, near)
  const taken = far.map((term): Domain[] => domainsWith(candidate, term)).flat()
  return (slot) => {
    if (!isNear(slot)) return NOT_NEAR
    if (taken.some((domain) => isIn(slot, domain))) return TOO_NEAR
    return guards.some((domain) => isIn(slot, domain)) ? UNWELCOME : undefined
  }
}

interface Domain {
  key: string
  value: string
}

function isIn(slot: Slot, { key, value }: Domain): boolean {
  return slot.labels[key] === value
}

/** Where the pod may be for its affinity: in a domain of each term, or anywhere if it is the first. */
function nearCheck(
  { pod, snapshot }: Candidate,
  terms: readonly PodAffinityTerm[],
): (slot: Slot) => boolean {
  const counts = terms.map((term) => countOf(snapshot, pod, term))
  const isFirst =
    counts.every(({ total }) => total === 0) &&
    terms.every((term) => isMeant(snapshot.reader, pod, term, pod))
  const domains = terms.map(({ topologyKey }, index) => {
    const count = counts[index]
    return count ? byDomain(snapshot.slots, topologyKey, count) : new Map<string, number>()
  })
  return (slot) =>
    terms.every(({ topologyKey }, index) => {
      const domain = slot.labels[topologyKey]
      return domain !== undefined && (isFirst || (domains[index]?.get(domain) ?? 0) > 0)
    })
}

function domainsWith({ pod, snapshot }: Candidate, term: PodAffinityTerm): Domain[] {
  const domains = byDomain(snapshot.slots, term.topologyKey, countOf(snapshot, pod, term))
  return [...domains.keys()].map((value) => ({ key: term.topologyKey, value }))
}

/** The domains that pods already there keep free of pods like this one. */
function guardedDomains({ pod, snapshot }: Candidate): Domain[] {
  const domains: Domain[] = []
  for (const slot of snapshot.guarded) {
    for (const guard of slot.guarded) {
      const terms =
        guard.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
      for (const term of terms) {
        const value = slot.labels[term.topologyKey]
        if (value === undefined || !isMeant(snapshot.reader, guard, term, pod)) continue
        domains.push({ key: term.topologyKey, value })
      }
    }
  }
  return domains
}
