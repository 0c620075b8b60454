// How long an agent stays when its VM was told to shut down.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { drain } from './drain.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Milliseconds until it is over; pods leave from `toldAt` to `goneAt`, if they are told. */
async function lasts(world: {
  pods: boolean
  balanced: boolean
  toldAt?: number
  goneAt?: number
  budgetMs?: number
}): Promise<number> {
  const { pods, balanced, toldAt = Infinity, goneAt = Infinity } = world
  const start = Date.now()
  const at = (): number => Date.now() - start
  const time = new AbortController()
  setTimeout(() => time.abort(), world.budgetMs ?? 20_000)
  const over = drain({
    hasPods: () => pods && at() < goneAt,
    isAnyLeaving: () => at() >= toldAt && at() < goneAt,
    isBalanced: () => balanced,
    now: Date.now,
    signal: time.signal,
  }).then(at)
  await vi.advanceTimersByTimeAsync(60_000)
  return over
}

describe('a VM that shuts down', () => {
  test.each([
    { of: 'nothing on it', world: { pods: false, balanced: false }, ms: 0 },
    {
      of: 'pods that leave',
      world: { pods: true, balanced: false, toldAt: 200, goneAt: 1500 },
      ms: 1500,
    },
    { of: 'pods that nobody tells', world: { pods: true, balanced: false }, ms: 3000 },
    { of: 'traffic only', world: { pods: false, balanced: true }, ms: 5000 },
    {
      of: 'pods and traffic',
      world: { pods: true, balanced: true, toldAt: 200, goneAt: 1500 },
      ms: 5000,
    },
    {
      of: 'slow pods and traffic',
      world: { pods: true, balanced: true, toldAt: 200, goneAt: 9000 },
      ms: 9000,
    },
    { of: 'pods that never end', world: { pods: true, balanced: true, toldAt: 200 }, ms: 20_000 },
    { of: 'little time', world: { pods: true, balanced: true, budgetMs: 1000 }, ms: 1000 },
  ])('with $of stays $ms ms', async ({ world, ms }) => {
    const took = await lasts(world)
    expect(took).toBeGreaterThanOrEqual(ms)
    expect(took).toBeLessThan(ms + 100)
  })
})
