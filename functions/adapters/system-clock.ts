// The machine's own clock.

import type { Clock } from '#shared/ports/clock.ts'

/** Node fires a longer timeout at once. */
const TIMEOUT_MAX_MS = 2_147_483_647

/** Time as the operating system tells it. */
export function createSystemClock(): Clock {
  return {
    now: () => Date.now(),
    sleep: async (ms, signal) => {
      for (let left = Math.max(0, ms); ; left -= TIMEOUT_MAX_MS) {
        await pause(Math.min(left, TIMEOUT_MAX_MS), signal)
        if (left <= TIMEOUT_MAX_MS || signal?.aborted) return
      }
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
