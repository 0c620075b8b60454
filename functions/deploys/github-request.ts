// How GitHub's REST API is called: bounded in time, conditional where the answer is known, tokens to
// GitHub only. https://docs.github.com/en/rest

import type { Clock } from '#shared/ports/clock.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { failureOf, GithubBusy, GithubRefusal } from './github-errors.ts'

export interface GithubOptions {
  /** `https://api.github.com`. */
  url: string
  /** `owner/name`. */
  repository: string
  /** Undefined for public repositories without reports. */
  token: string | undefined
  /** The token is a GitHub App's: it may write check runs. */
  isApp: boolean
  /** GitHub does not know the token (any more). */
  onUnauthorized?: () => void
  clock: Clock
  fetch: typeof fetch
  /** Answers by path, for conditional requests; kept by the caller between calls. */
  cache: Map<string, { etag: string; body: unknown }>
}

const DEADLINE_MS = 20_000
const CACHE_MAX = 500
/** Where GitHub serves archives from. */
const ARCHIVE_HOSTS = /^(codeload\.github\.com|[a-z0-9-]+\.githubusercontent\.com)$/

/** One call of the API; a GET is conditional where its answer is known. Errors: GithubBusy, GithubRefusal. */
export async function request(
  options: GithubOptions,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const { cache, clock } = options
  const known = method === 'GET' ? cache.get(path) : undefined
  const init: RequestInit = {
    method,
    redirect: 'error',
    headers: {
      ...headersOf(options),
      ...(known ? { 'if-none-match': known.etag } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
  const response = await send(options, `${options.url}${path}`, init)
  if (response.status === 304 && known) return known.body
  if (response.status === 401) options.onUnauthorized?.()
  if (!response.ok) throw await failureOf(response, `${method} ${path.split('?')[0]}`, clock.now())
  const answer = await jsonOf(response)
  const etag = response.headers.get('etag')
  if (method === 'GET' && etag) {
    cache.delete(path)
    cache.set(path, { etag, body: answer })
    const [oldest] = cache.keys()
    if (cache.size > CACHE_MAX && oldest !== undefined) cache.delete(oldest)
  }
  return answer
}

/** Follows the redirect to where archives are, without the token, and nowhere else. */
export async function download(
  options: GithubOptions,
  path: string,
): Promise<ReadableStream<Uint8Array>> {
  const first = await send(options, `${options.url}${path}`, {
    redirect: 'manual',
    headers: headersOf(options),
  })
  const location = first.headers.get('location')
  let response = first
  if (first.status >= 300 && first.status < 400 && location) {
    await first.body?.cancel()
    const target = new URL(location, options.url)
    const isOwn = target.origin === new URL(options.url).origin
    const isArchive = target.protocol === 'https:' && ARCHIVE_HOSTS.test(target.hostname)
    if (!isOwn && !isArchive) {
      throw new GithubRefusal(first.status, `GitHub redirects the archive to ${target.host}`)
    }
    response = await send(options, target.href, { redirect: 'error', headers: AGENT })
  }
  if (!response.ok) throw await failureOf(response, `GET ${path}`, options.clock.now())
  if (!response.body) throw new GithubBusy('GitHub answers an empty archive')
  return response.body
}

const AGENT = { 'user-agent': 'wherry-deploys' }

function headersOf({ token }: GithubOptions): Record<string, string> {
  return {
    ...AGENT,
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  }
}

/** The answer's head within the deadline. Error: GithubBusy. */
export async function send(
  { clock, fetch }: Pick<GithubOptions, 'clock' | 'fetch'>,
  url: string,
  init: RequestInit,
): Promise<Response> {
  const done = new AbortController()
  const late = new AbortController()
  const watch = async (): Promise<void> => {
    await clock.sleep(DEADLINE_MS, done.signal)
    if (!done.signal.aborted) late.abort()
  }
  void watch()
  try {
    return await fetch(url, { ...init, signal: late.signal })
  } catch (error) {
    const why = late.signal.aborted ? `no answer in ${DEADLINE_MS / 1000} s` : causeOf(error)
    throw new GithubBusy(`GitHub cannot be reached: ${why}`, undefined, { cause: error })
  } finally {
    done.abort()
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

async function jsonOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined
  try {
    const body: unknown = await response.json()
    return body
  } catch (error) {
    throw new GithubBusy('GitHub answers no JSON', undefined, { cause: error })
  }
}

/** 404, and 422 of a name that is none: undefined. */
export async function orNothing(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    const isMissing = error instanceof GithubRefusal && [404, 409, 422].includes(error.status)
    if (isMissing) return undefined
    throw error
  }
}

/** The objects of a list; what is none is left out. */
export function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

/** A text member; '' when it is none. */
export function textOf(object: JsonObject, member: string): string {
  const value = object[member]
  return typeof value === 'string' ? value : ''
}

/** The name of a commit or tree. Error: GithubBusy. */
export function sha(object: JsonObject): string {
  const value = textOf(object, 'sha')
  if (!/^[0-9a-f]{40,64}$/.test(value)) throw new GithubBusy('GitHub answers no commit')
  return value
}

/** `owner/name` of a head or base; '' when its repository is gone. */
export function fullName(object: JsonObject): string {
  const { repo } = object
  return isObject(repo) ? textOf(repo, 'full_name') : ''
}

/** GitHub's number of what it made. Error: GithubBusy. */
export function id(object: unknown): number {
  const value = isObject(object) ? object['id'] : undefined
  if (typeof value !== 'number') throw new GithubBusy('GitHub answers no id')
  return value
}
