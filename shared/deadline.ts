// Nothing may hang: what does not answer in time becomes a 503 that says when to ask again.

import type { Clock } from './ports/clock.ts'
import { StatusError } from './status.ts'

const LATE = Symbol('late')

/** The refusal of something whose outcome is not known, or that is away. */
export function unavailable(what: string, cause?: unknown): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    `${what}; try again`,
    { retryAfterSeconds: 1 },
    cause === undefined ? undefined : { cause },
  )
}

/** `work`'s own outcome, or ServiceUnavailable when it takes longer than `ms` by the clock. */
export async function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
): Promise<T> {
  const done = new AbortController()
  const late = clock.sleep(ms, done.signal).then((): typeof LATE => LATE)
  try {
    const outcome = await Promise.race([work, late])
    if (outcome === LATE) throw unavailable(`${what} took longer than ${ms} ms`)
    return outcome
  } finally {
    // A reason of one's own saves making an error that nobody reads.
    done.abort('done')
  }
}
