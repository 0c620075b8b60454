// The machine's own clock.

import type { Clock } from '#shared/ports/clock.ts'

/** Node fires a longer timeout at once. */
const TIMEOUT_MAX_MS = 2_147_483_647

/** Node's timers count from another clock and may fire a little before the time that `now` shows. */
const EARLY_MAX_MS = 20

/** Time as the operating system tells it. */
export function createSystemClock(): Clock {
  return {
    now: () => Date.now(),
    sleep: async (ms, signal) => {
      const until = Date.now() + ms
      for (let left = Math.max(0, ms); ; left -= TIMEOUT_MAX_MS) {
        await pause(Math.min(left, TIMEOUT_MAX_MS), signal)
        if (signal?.aborted) return
        if (left <= TIMEOUT_MAX_MS) break
      }
      // Who sleeps until a time and then compares with the clock must find it reached.
      const early = until - Date.now()
      if (early > 0 && early <= EARLY_MAX_MS) await pause(early + 1, signal)
    },
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const wake = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal?.addEventListener('abort', wake, { once: true })
  })
}
