// The part of GitHub's REST API that deploys need. Bounded in time and size; reads of heads are
// conditional, so that asking when nothing has changed costs nothing of the rate limit.
// https://docs.github.com/en/rest

import type { Clock } from '#shared/ports/clock.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { highestTag, matchesTag, tagPrefix } from '#shared/deploy/tags.ts'
import { failureOf, GithubBusy, GithubRefusal } from './github-errors.ts'

export interface Head {
  commit: string
  /** First line of the message. */
  subject: string
  /** The tag, where a pattern of tags is deployed. */
  tag?: string
}

export interface PullRequest {
  isOpen: boolean
  commit: string
  subject: string
  labels: string[]
  /** From another repository than its base. */
  isFork: boolean
}

export interface CommitStatus {
  state: 'pending' | 'success' | 'failure' | 'error'
  description: string
  context: string
  url?: string
}

export interface Github {
  /** The branch's newest commit; undefined when there is no such branch. */
  branchHead(branch: string): Promise<Head | undefined>
  /** The commit of the highest tag that matches; undefined when none does. */
  tagHead(pattern: string): Promise<Head | undefined>
  pull(number: number): Promise<PullRequest | undefined>
  /** The gzipped tar of the tree at a commit. */
  tarball(commit: string): Promise<ReadableStream<Uint8Array>>
  setStatus(commit: string, status: CommitStatus): Promise<void>
  /** The id of GitHub's Deployment for this commit and environment, made when there is none. */
  deployment(commit: string, environment: string, isPreview: boolean): Promise<number>
  setDeploymentStatus(id: number, state: string, text: string, url?: string): Promise<void>
  /** One comment a pull request, found again by its marker. */
  setComment(pull: number, marker: string, text: string): Promise<void>
}

export interface GithubOptions {
  /** `https://api.github.com`. */
  url: string
  /** `owner/name`. */
  repository: string
  /** Undefined for public repositories without reports. */
  token: string | undefined
  clock: Clock
  fetch: typeof fetch
  /** Answers by path, for conditional requests; kept by the caller between calls. */
  cache: Map<string, { etag: string; body: unknown }>
}

const DEADLINE_MS = 20_000
const TEXT_MAX = 140
const CACHE_MAX = 500
/** Where GitHub serves archives from. */
const ARCHIVE_HOSTS = /^(codeload\.github\.com|[a-z0-9-]+\.githubusercontent\.com)$/

export function createGithub(options: GithubOptions): Github {
  const { repository } = options
  const at = `/repos/${repository}`
  const call = (method: string, path: string, body?: unknown): Promise<unknown> =>
    request(options, method, path, body)

  async function commitAt(reference: string): Promise<Head | undefined> {
    const found = await orNothing(call('GET', `${at}/commits/${encodeURIComponent(reference)}`))
    if (!isObject(found)) return undefined
    const { commit } = found
    const message = isObject(commit) ? textOf(commit, 'message') : ''
    return { commit: sha(found), subject: message.split('\n')[0]?.slice(0, TEXT_MAX) ?? '' }
  }

  return {
    branchHead: (branch) => commitAt(`heads/${branch}`),

    async tagHead(pattern) {
      const path = `${at}/git/matching-refs/tags/${encodeURIComponent(tagPrefix(pattern))}`
      const refs = await orNothing(call('GET', `${path}?per_page=100`))
      const names = objects(refs).map((ref) => textOf(ref, 'ref').replace(/^refs\/tags\//, ''))
      const tag = highestTag(names.filter((name) => matchesTag(pattern, name)))
      const head = tag === undefined ? undefined : await commitAt(`tags/${tag}`)
      return head && tag !== undefined ? { ...head, tag } : undefined
    },

    async pull(number) {
      const pull = await orNothing(call('GET', `${at}/pulls/${number}`))
      if (!isObject(pull)) return undefined
      const { head, base } = pull
      if (!isObject(head) || !isObject(base)) throw new GithubBusy('GitHub answers nonsense (pull)')
      return {
        isOpen: textOf(pull, 'state') === 'open',
        commit: sha(head),
        subject: textOf(pull, 'title').slice(0, TEXT_MAX),
        labels: objects(pull['labels']).map((label) => textOf(label, 'name')),
        // A head without a repository was deleted: not ours either.
        isFork: fullName(head).toLowerCase() !== fullName(base).toLowerCase(),
      }
    },

    tarball: (commit) => download(options, `${at}/tarball/${commit}`),

    async setStatus(commit, { state, description, context, url }) {
      await call('POST', `${at}/statuses/${commit}`, {
        state,
        description: description.slice(0, TEXT_MAX),
        context,
        ...(url ? { target_url: url } : {}),
      })
    },

    async deployment(commit, environment, isPreview) {
      const query = `sha=${commit}&environment=${encodeURIComponent(environment)}&per_page=1`
      const [present] = objects(await call('GET', `${at}/deployments?${query}`))
      if (present) return id(present)
      const made = await call('POST', `${at}/deployments`, {
        ref: commit,
        environment,
        auto_merge: false,
        required_contexts: [],
        description: 'Wherry',
        transient_environment: isPreview,
        production_environment: environment === 'production',
      })
      return id(made)
    },

    async setDeploymentStatus(deployment, state, text, url) {
      await call('POST', `${at}/deployments/${deployment}/statuses`, {
        state,
        description: text.slice(0, TEXT_MAX),
        auto_inactive: true,
        ...(url ? { environment_url: url } : {}),
      })
    },

    async setComment(pull, marker, text) {
      const path = `${at}/issues/${pull}/comments?per_page=100`
      const present = objects(await call('GET', path)).find((comment) =>
        textOf(comment, 'body').startsWith(marker),
      )
      const body = { body: `${marker}\n${text}` }
      if (!present) await call('POST', `${at}/issues/${pull}/comments`, body)
      else if (textOf(present, 'body') !== body.body) {
        await call('PATCH', `${at}/issues/comments/${id(present)}`, body)
      }
    },
  }
}

async function request(
  options: GithubOptions,
  method: string,
  path: string,
  body: unknown,
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
async function download(options: GithubOptions, path: string): Promise<ReadableStream<Uint8Array>> {
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
async function send(
  { clock, fetch }: GithubOptions,
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
async function orNothing(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    const isMissing = error instanceof GithubRefusal && [404, 409, 422].includes(error.status)
    if (isMissing) return undefined
    throw error
  }
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function textOf(object: JsonObject, member: string): string {
  const value = object[member]
  return typeof value === 'string' ? value : ''
}

function sha(object: JsonObject): string {
  const value = textOf(object, 'sha')
  if (!/^[0-9a-f]{40,64}$/.test(value)) throw new GithubBusy('GitHub answers no commit')
  return value
}

function fullName(object: JsonObject): string {
  const { repo } = object
  return isObject(repo) ? textOf(repo, 'full_name') : ''
}

function id(object: unknown): number {
  const value = isObject(object) ? object['id'] : undefined
  if (typeof value !== 'number') throw new GithubBusy('GitHub answers no id')
  return value
}
