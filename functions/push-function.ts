// A function that Google calls (Pub/Sub push, Cloud Scheduler, Cloud Tasks): only with the token of
// the account that is expected, only by POST. The answer's status is the acknowledgement: 2xx means
// done, anything else that it comes again.

import type { Log } from '#shared/ports/log.ts'

/** What functions-framework hands in, as far as it is read. */
export interface PushRequest {
  method?: string | undefined
  headers: Readonly<Record<string, string | string[] | undefined>>
  body?: unknown
}

export interface PushResponse {
  statusCode: number
  end(text?: string): unknown
}

export interface PushFunctionDeps {
  /** What an Authorization header proves. */
  verify: (
    authorization: string | undefined,
  ) => Promise<{ verdict: 'accepted' } | { verdict: 'refused' | 'unavailable'; why: string }>
  /** A rejection asks for another delivery. */
  handle: (body: unknown) => Promise<void>
  log: Log
}

export type PushFunction = (request: PushRequest, response: PushResponse) => Promise<void>

export function createPushFunction({ verify, handle, log }: PushFunctionDeps): PushFunction {
  return async (request, response) => {
    const answer = (status: number, text?: string): void => {
      response.statusCode = status
      response.end(text)
    }
    if (request.method !== 'POST') return answer(405, 'POST only')
    const { authorization } = request.headers
    const caller = await verify(typeof authorization === 'string' ? authorization : undefined)
    if (caller.verdict === 'unavailable') {
      log.error('the caller cannot be checked now', { why: caller.why })
      return answer(503, 'try again')
    }
    if (caller.verdict === 'refused') {
      log.warn('a call was refused', { why: caller.why })
      return answer(401, 'Unauthorized')
    }
    try {
      await handle(request.body)
    } catch (error) {
      log.error('a delivery did not succeed; it comes again', { error })
      return answer(503, 'try again')
    }
    return answer(204)
  }
}
