// Nothing that waits for Google may wait for ever.

import { StatusError } from '#shared/status.ts'
import type { Clock } from '#shared/ports/clock.ts'

/**
 * `work`'s result, or ServiceUnavailable when it is not there after `ms` (then it may still happen)
 * or has failed. `what` names it: `publish to wherry-changes`.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
): Promise<T> {
  const done = new AbortController()
  const late = clock.sleep(ms, done.signal).then(() => {
    throw new Error(`no answer within ${ms / 1000} s`)
  })
  try {
    return await Promise.race([work, late])
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new StatusError(
      'ServiceUnavailable',
      `${what}: ${why}`,
      { retryAfterSeconds: 1 },
      { cause: error },
    )
  } finally {
    late.catch(() => undefined)
    work.catch(() => undefined)
    done.abort()
  }
}
