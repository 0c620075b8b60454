// A clock that stands still until a test or a simulation moves it. Sleepers wake in the order of
// their times, and those of one time in the order in which they went to sleep.

import type { Clock } from '#shared/ports/clock.ts'

export interface ManualClock extends Clock {
  /** Moves `ms` on, waking whoever is due on the way, also those who go to sleep meanwhile. */
  advance(ms: number): Promise<void>
  /** Moves to this time (not backwards) in the same way. */
  advanceTo(atMs: number): Promise<void>
  /** When the next sleeper is due; undefined: nobody sleeps. */
  nextWake(): number | undefined
}

interface Sleeper {
  atMs: number
  wake: () => void
}

/** `startMs` is the time it begins with. */
export function createManualClock(startMs = 1_700_000_000_000): ManualClock {
  let nowMs = startMs
  const sleepers: Sleeper[] = []

  const advanceTo = async (atMs: number): Promise<void> => {
    await settled()
    for (let next = sleepers[0]; next && next.atMs <= atMs; next = sleepers[0]) {
      nowMs = Math.max(nowMs, next.atMs)
      next.wake()
      await settled()
    }
    nowMs = Math.max(nowMs, atMs)
  }

  return {
    now: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (ms <= 0 || signal?.aborted) {
          resolve()
          return
        }
        const sleeper: Sleeper = {
          atMs: nowMs + ms,
          wake: () => {
            sleepers.splice(sleepers.indexOf(sleeper), 1)
            signal?.removeEventListener('abort', sleeper.wake)
            resolve()
          },
        }
        const later = sleepers.findIndex((other) => other.atMs > sleeper.atMs)
        sleepers.splice(later < 0 ? sleepers.length : later, 0, sleeper)
        signal?.addEventListener('abort', sleeper.wake, { once: true })
      }),
    advance: (ms) => advanceTo(nowMs + ms),
    advanceTo,
    nextWake: () => sleepers[0]?.atMs,
  }
}

/** Lets everything that needs no time run first: all promise reactions, then the event loop once. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
