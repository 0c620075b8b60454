// Terms of pod affinity and anti-affinity: which pods they speak of, and in which namespaces.

import type { Pod, PodAffinityTerm } from '../api/pod.ts'
import { matchesLabelSelector } from '../selector.ts'
import type { Reader } from '../view/reader.ts'
import type { PodCount, Slot, Snapshot } from './snapshot.ts'

/** The namespaces of a term: those it names and selects, or its pod's own when it does neither. */
export function namespacesOf(reader: Reader, owner: Pod, term: PodAffinityTerm): string[] {
  if (!term.namespaces?.length && !term.namespaceSelector) return [owner.metadata.namespace ?? '']
  const selected = term.namespaceSelector
    ? reader
        .list('namespaces')
        .filter(({ metadata }) => matchesLabelSelector(term.namespaceSelector, metadata.labels))
        .map(({ metadata }) => metadata.name)
    : []
  return [...(term.namespaces ?? []), ...selected]
}

/** True when `pod` is one that the term of `owner` speaks of. */
export function isMeant(reader: Reader, owner: Pod, term: PodAffinityTerm, pod: Pod): boolean {
  return (
    matchesLabelSelector(term.labelSelector, pod.metadata.labels) &&
    namespacesOf(reader, owner, term).includes(pod.metadata.namespace ?? '')
  )
}

/** How many pods that the term speaks of there are on each node. */
export function countOf(snapshot: Snapshot, owner: Pod, term: PodAffinityTerm): PodCount {
  return snapshot.count(namespacesOf(snapshot.reader, owner, term), term.labelSelector)
}

/** The sum of a count over each domain of a topology key. */
export function byDomain(
  slots: readonly Slot[],
  key: string,
  count: PodCount,
): Map<string, number> {
  const domains = new Map<string, number>()
  if (count.total === 0) return domains
  for (const slot of slots) {
    const pods = count.byNode[slot.index] ?? 0
    const domain = slot.labels[key]
    if (pods > 0 && domain !== undefined) domains.set(domain, (domains.get(domain) ?? 0) + pods)
  }
  return domains
}
