// How GitHub can fail a request: it may be asked again later, or it has said no.

/** It does not answer, or has had enough of us: ask again at that time. */
export class GithubBusy extends Error {
  override readonly name = 'GithubBusy'
  /** Undefined: nobody has said when. */
  readonly retryAtMs: number | undefined
  constructor(message: string, retryAtMs?: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAtMs = retryAtMs
  }
}

/** It has refused: asking again changes nothing until a person does something. */
export class GithubRefusal extends Error {
  override readonly name = 'GithubRefusal'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const SECOND = 1000
/** What GitHub's documentation says to wait when a secondary limit names no time. */
const SECONDARY_MS = 60_000

/** The error of an answer that is not the wished one. */
export async function failureOf(response: Response, what: string, now: number): Promise<Error> {
  const { status, headers } = response
  const text = await messageIn(response)
  const retryAfter = headers.get('retry-after')
  const isLimited =
    status === 429 ||
    (status === 403 &&
      (retryAfter !== null ||
        headers.get('x-ratelimit-remaining') === '0' ||
        /rate limit/i.test(text)))
  if (isLimited) {
    return new GithubBusy(`GitHub's rate limit is reached (${what})`, limitEnd(headers, now))
  }
  if (status >= 500 || status === 408) {
    const after = retryAfter === null ? undefined : now + seconds(retryAfter) * SECOND
    return new GithubBusy(`GitHub answers ${status} (${what})`, after)
  }
  return new GithubRefusal(status, `GitHub answers ${status} (${what})${text ? `: ${text}` : ''}`)
}

function limitEnd(headers: Headers, now: number): number {
  const retryAfter = headers.get('retry-after')
  if (retryAfter !== null) return now + seconds(retryAfter) * SECOND
  const reset = headers.get('x-ratelimit-reset')
  if (headers.get('x-ratelimit-remaining') === '0' && reset !== null) {
    return Math.max(now + SECOND, seconds(reset) * SECOND)
  }
  return now + SECONDARY_MS
}

function seconds(text: string): number {
  const value = Number(text)
  return Number.isFinite(value) && value >= 0 ? value : SECONDARY_MS / SECOND
}

async function messageIn(response: Response): Promise<string> {
  try {
    const body: unknown = JSON.parse((await response.text()).slice(0, 10_000))
    return typeof body === 'object' && body !== null && 'message' in body
      ? String(body.message).slice(0, 200)
      : ''
  } catch {
    return ''
  }
}
