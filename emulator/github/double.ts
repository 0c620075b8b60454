// The part of GitHub's REST API that deploys use, over git repositories in local folders: archives by
// way of a redirect, ETags, the rate limit, commit statuses, deployments, comments. `npm start` serves
// it for repositories named `local/…`; tests add faults.
// https://docs.github.com/en/rest

import { Hono, type Context } from 'hono'
import type { Clock } from '#shared/ports/clock.ts'
import { addTokens, isKnownToken, type AppDouble } from './double-app.ts'
import { AT, missing, tagged, type Of } from './double-answers.ts'
import { addChecks, addGitData } from './double-more.ts'
import { openGitFolder, type GitFolder } from './git.ts'

export interface PullDouble {
  number: number
  state: 'open' | 'closed'
  title: string
  /** The branch in the same folder. */
  branch: string
  labels: string[]
  /** `somebody/fork`; absent: the repository itself. */
  from?: string
}

export interface StatusDouble {
  sha: string
  state: string
  context: string
  description: string
  target_url?: string
}

export interface DeploymentDouble {
  id: number
  sha: string
  environment: string
  statuses: { state: string; description: string; environment_url?: string }[]
}

export interface CommentDouble {
  id: number
  issue: number
  body: string
}

export interface CheckRunDouble {
  id: number
  name: string
  head_sha: string
  external_id: string
  status: string
  conclusion?: string
  output: { title: string; summary: string }
}

export interface RepositoryDouble {
  name: string
  git: GitFolder
  pulls: PullDouble[]
  statuses: StatusDouble[]
  deployments: DeploymentDouble[]
  comments: CommentDouble[]
  checks: CheckRunDouble[]
}

export interface GithubDouble {
  app: Hono
  /** `local/web` from now on is the git repository in this folder. */
  add(name: string, folder: string): RepositoryDouble
  find(name: string): RepositoryDouble | undefined
  /** Requests that were answered, e.g. `GET /repos/local/web/commits/heads/main 304`. */
  requests: string[]
}

export interface GithubDoubleOptions {
  clock: Clock
  /** Before the paths, e.g. `/github/api`. */
  base?: string
  /** Where it is reached, for redirects. */
  origin: () => string
  /** Requests an hour before 403. */
  rateLimit?: number
  /** When given, only its installation tokens are accepted. */
  credentials?: AppDouble
  /** For tests: an answer that is given instead. */
  fault?: (method: string, path: string) => Response | Promise<Response> | undefined
}

const HOUR = 3_600_000

export function createGithubDouble(options: GithubDoubleOptions): GithubDouble {
  const { clock, base = '' } = options
  const repositories = new Map<string, RepositoryDouble>()
  const requests: string[] = []
  const limit = { used: 0, resetMs: 0 }
  const app = new Hono().basePath(base)
  const max = options.rateLimit ?? 5000

  app.use('*', async (c, next) => {
    const path = decodeURIComponent(c.req.path.slice(base.length))
    const faulty = await options.fault?.(c.req.method, path)
    if (faulty) {
      requests.push(`${c.req.method} ${path} ${faulty.status}`)
      return faulty
    }
    if (options.credentials && !isKnownToken(options.credentials, c, clock.now())) {
      requests.push(`${c.req.method} ${path} 401`)
      return c.json({ message: 'Bad credentials' }, 401)
    }
    if (clock.now() >= limit.resetMs) Object.assign(limit, { used: 0, resetMs: clock.now() + HOUR })
    if (limit.used >= max) {
      requests.push(`${c.req.method} ${path} 403`)
      return limited(max, limit.resetMs)
    }
    await next()
    requests.push(`${c.req.method} ${path} ${c.res.status}`)
    // Conditional requests that find nothing new are free.
    if (c.res.status !== 304) limit.used++
    c.res.headers.set('x-ratelimit-limit', String(max))
    c.res.headers.set('x-ratelimit-remaining', String(max - limit.used))
    c.res.headers.set('x-ratelimit-reset', String(Math.ceil(limit.resetMs / 1000)))
    return undefined
  })
  const of = (c: Context): RepositoryDouble | undefined =>
    repositories.get(`${c.req.param('owner')}/${c.req.param('name')}`.toLowerCase())
  // Before the reads: a path of theirs takes whatever follows a commit.
  addChecks(app, of)
  addReads(app, options, of)
  addReports(app, of)
  addGitData(app, of)
  if (options.credentials) addTokens(app, options.credentials, clock)
  app.notFound((c) => c.json({ message: 'Not Found' }, 404))
  return {
    app,
    requests,
    add(name, folder) {
      const present = repositories.get(name.toLowerCase())
      const repository: RepositoryDouble = {
        name,
        git: openGitFolder(folder),
        pulls: present?.pulls ?? [],
        statuses: present?.statuses ?? [],
        deployments: present?.deployments ?? [],
        comments: present?.comments ?? [],
        checks: present?.checks ?? [],
      }
      repositories.set(name.toLowerCase(), repository)
      return repository
    },
    find: (name) => repositories.get(name.toLowerCase()),
  }
}

function limited(max: number, resetMs: number): Response {
  return Response.json(
    { message: 'API rate limit exceeded' },
    {
      status: 403,
      headers: {
        'x-ratelimit-limit': String(max),
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Math.ceil(resetMs / 1000)),
      },
    },
  )
}

function addReads(app: Hono, { base = '', origin }: GithubDoubleOptions, of: Of): void {
  app.get(`${AT}/commits/:ref{.+}`, async (c) => {
    const reference = c.req.param('ref') ?? ''
    const full = /^(heads|tags)\//.test(reference) ? `refs/${reference}` : reference
    const commit = await of(c)?.git.commit(full)
    if (!commit) return c.json({ message: `No commit found for SHA: ${reference}` }, 422)
    return tagged(c, { sha: commit.sha, commit: { message: commit.message } })
  })
  app.get(`${AT}/git/matching-refs/:prefix{.+}`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const refs = await repository.git.references(`refs/${c.req.param('prefix')}`)
    return tagged(
      c,
      refs.map(({ ref, sha }) => ({ ref, object: { type: 'commit', sha } })),
    )
  })
  app.get(`${AT}/tarball/:ref`, (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const path = `${base}/codeload/${repository.name}/legacy.tar.gz/${c.req.param('ref')}`
    return c.redirect(`${origin()}${path}?token=short-lived`, 302)
  })
  app.get('/codeload/:owner/:name/legacy.tar.gz/:ref', async (c) => {
    const repository = of(c)
    const sha = c.req.param('ref')
    // As on codeload: the token is in the address, a header with one is refused.
    if (c.req.header('authorization')) return c.json({ message: 'Bad credentials' }, 400)
    if (!repository || !/^[0-9a-f]{40}$/.test(sha)) return missing(c)
    const prefix = `${repository.name.replace('/', '-')}-${sha.slice(0, 7)}`
    const packed = await repository.git.archive(sha, prefix)
    return new Response(new Uint8Array(packed), {
      headers: { 'content-type': 'application/x-gzip' },
    })
  })
  app.get(`${AT}/pulls/:number`, async (c) => {
    const repository = of(c)
    const pull = repository?.pulls.find(({ number }) => number === Number(c.req.param('number')))
    const commit = await repository?.git.commit(`refs/heads/${pull?.branch ?? ''}`)
    if (!repository || !pull) return missing(c)
    return tagged(c, {
      number: pull.number,
      state: pull.state,
      title: pull.title,
      labels: pull.labels.map((name) => ({ name })),
      head: {
        sha: commit?.sha,
        ref: pull.branch,
        repo: { full_name: pull.from ?? repository.name },
      },
      base: { repo: { full_name: repository.name } },
    })
  })
}

function addReports(app: Hono, of: Of): void {
  app.post(`${AT}/statuses/:sha`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const sent = await c.req.json<Omit<StatusDouble, 'sha'>>()
    const status: StatusDouble = { ...sent, sha: c.req.param('sha') }
    repository.statuses.push(status)
    return c.json(status, 201)
  })
  app.get(`${AT}/deployments`, (c) => {
    const { sha, environment } = c.req.query()
    const found = (of(c)?.deployments ?? []).filter(
      (each) => each.sha === sha && each.environment === environment,
    )
    return tagged(c, found)
  })
  app.post(`${AT}/deployments`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const { ref, environment } = await c.req.json<{ ref: string; environment: string }>()
    const id = repository.deployments.length + 1
    const deployment: DeploymentDouble = { id, sha: ref, environment, statuses: [] }
    repository.deployments.push(deployment)
    return c.json(deployment, 201)
  })
  app.post(`${AT}/deployments/:id/statuses`, async (c) => {
    const deployment = of(c)?.deployments.find(({ id }) => id === Number(c.req.param('id')))
    if (!deployment) return missing(c)
    deployment.statuses.push(await c.req.json<DeploymentDouble['statuses'][number]>())
    return c.json({ id: deployment.statuses.length }, 201)
  })
  app.get(`${AT}/issues/:number/comments`, (c) => {
    const issue = Number(c.req.param('number'))
    return tagged(
      c,
      (of(c)?.comments ?? []).filter((comment) => comment.issue === issue),
    )
  })
  app.post(`${AT}/issues/:number/comments`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const { body } = await c.req.json<{ body: string }>()
    const id = repository.comments.length + 1
    repository.comments.push({ id, issue: Number(c.req.param('number')), body })
    return c.json({ id, body }, 201)
  })
  app.patch(`${AT}/issues/comments/:id`, async (c) => {
    const comment = of(c)?.comments.find(({ id }) => id === Number(c.req.param('id')))
    if (!comment) return missing(c)
    comment.body = (await c.req.json<{ body: string }>()).body
    return c.json({ id: comment.id, body: comment.body })
  })
}
