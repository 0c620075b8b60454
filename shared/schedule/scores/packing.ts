// Bin packing: a node that the pod would fill is better than one that it would open, so that empty
// nodes stay empty and can be given back.

import type { Score } from '../rule.ts'

export const packing: Score = {
  name: 'packing',
  weight: 1,
  scale: 'percent',
  points({ demand }) {
    const { weighedCpu, weighedMemory } = demand
    return (slot) => {
      const { capacity } = slot
      const cpu = share(slot.weighedCpu + weighedCpu, capacity.cpu)
      const memory = share(slot.weighedMemory + weighedMemory, capacity.memory)
      return (cpu + memory) / 2
    }
  },
}

function share(used: number, has: number): number {
  return has > 0 ? Math.min(100, (used * 100) / has) : 0
}
