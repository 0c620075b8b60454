// A pod's requests must fit in what the node's pods leave of its allocatable resources.

import type { PodDemand } from '../resources.ts'
import type { Filter, Refusal } from '../rule.ts'
import type { Slot } from '../snapshot.ts'

export const resources: Filter = ({ demand }) => {
  const { cpu, memory, others } = demand
  return (slot) => {
    const { capacity } = slot
    const isFitting =
      slot.pods < capacity.pods &&
      (cpu === 0 || slot.cpu + cpu <= capacity.cpu) &&
      (memory === 0 || slot.memory + memory <= capacity.memory) &&
      others === undefined
    return isFitting ? undefined : refusalOf(slot, demand)
  }
}

/** What is missing, resource by resource. */
function refusalOf(slot: Slot, demand: PodDemand): Refusal | undefined {
  const { capacity } = slot
  const reasons: string[] = []
  let isTooSmall = false
  const need = (resource: string, asked: number, used: number, has: number): void => {
    if (asked === 0 || used + asked <= has) return
    reasons.push(`Insufficient ${resource}`)
    if (asked > has) isTooSmall = true
  }
  if (slot.pods >= capacity.pods) reasons.push('Too many pods')
  need('cpu', demand.cpu, slot.cpu, capacity.cpu)
  need('memory', demand.memory, slot.memory, capacity.memory)
  for (const [resource, asked] of demand.others ?? []) {
    need(resource, asked, slot.others?.get(resource) ?? 0, capacity.others?.get(resource) ?? 0)
  }
  return reasons.length > 0 ? { reasons, isHelpedByPreemption: !isTooSmall } : undefined
}
