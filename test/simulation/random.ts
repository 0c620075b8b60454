// Randomness that repeats itself: everything a simulation draws comes from its seed.

export interface Random {
  /** From 0 (included) to 1. */
  next(): number
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number
  /** True with this probability. */
  chance(probability: number): boolean
  /** One of the items; undefined when there are none. */
  pick<T>(items: readonly T[]): T | undefined
  /** One of the names, each as likely as its weight says. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T
}

/** mulberry32: small, fast, and the same everywhere. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (items) => items[below(items.length)],
    weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
      const entries = Object.entries<number>(weights) as [T, number][]
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      const [last] = entries.at(-1) ?? []
      if (last === undefined) throw new Error('nothing to choose from')
      return last
    },
  }
}
