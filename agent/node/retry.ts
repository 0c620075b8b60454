// Tries a call to the control plane again until it succeeds: the pods run meanwhile.

import type { Log } from '#shared/ports/log.ts'
import { ApiError } from './api-client.ts'

const FIRST_MS = 250
const MAX_MS = 30_000

/** How long to wait after the n-th failure in a row (from 0): doubling, with jitter. */
export function retryDelay(error: unknown, failures: number, random: number): number {
  if (error instanceof ApiError && error.retryAfterMs !== undefined) {
    // All nodes were told the same time: they must not come back together.
    return error.retryAfterMs * (1 + random / 2)
  }
  return Math.min(FIRST_MS * 2 ** failures, MAX_MS) * (0.5 + random / 2)
}

/** Calls until it succeeds; rejects only when the signal aborts or `giveUp` says so. */
export async function untilDone<T>(
  what: string,
  call: () => Promise<T>,
  log: Log,
  signal: AbortSignal,
  giveUp: (error: unknown) => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await call()
    } catch (error) {
      if (signal.aborted || giveUp(error)) throw error
      const ms = retryDelay(error, failures, Math.random())
      const why = error instanceof Error ? error.message : String(error)
      log.warn(`${what} failed, trying again`, { why, inMs: Math.round(ms), failures })
      await pause(ms, signal)
      if (signal.aborted) throw error
    }
  }
}

/** Resolves after `ms` or at once when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
