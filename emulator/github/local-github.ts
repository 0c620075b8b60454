// GitHub on this machine: the webhook's address, and for repositories named `local/…` the API itself,
// over git repositories in local folders. Everything else is asked from the real GitHub.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Hono } from 'hono'
import type { Clock } from '#shared/ports/clock.ts'
import { createGithubDouble } from './double.ts'

export interface LocalGithubOptions {
  clock: Clock
  /** Who may name folders. */
  adminToken: string
  /** Where this machine's Google and GitHub are reached. */
  origin: () => string
  /** Remembers the folders. */
  file: string
  webhook: Hono
}

export interface LocalGithub {
  app: Hono
  /** True for requests that belong here. */
  isAbout: (request: Request) => boolean
  /** Where the API of a repository is. */
  urlOf: (repository: string) => string
}

const API = '/github/api'
const REAL = 'https://api.github.com'
const LOCAL = /^local\/[A-Za-z0-9._-]{1,100}$/

export function createLocalGithub(options: LocalGithubOptions): LocalGithub {
  const { clock, origin, file, adminToken } = options
  const double = createGithubDouble({ clock, base: API, origin })
  const folders = readFolders(file)
  for (const [name, folder] of Object.entries(folders)) double.add(name, folder)
  const app = new Hono()
  app.use('/github/local/*', async (c, next) => {
    if (c.req.header('authorization') !== `Bearer ${adminToken}`)
      return c.text('who are you?\n', 401)
    return next()
  })
  app.put('/github/local/:name', async (c) => {
    const name = `local/${c.req.param('name')}`
    const { folder } = await c.req.json<{ folder: string }>()
    if (!LOCAL.test(name) || !existsSync(folder)) return c.text('no such folder\n', 400)
    const { git } = double.add(name, folder)
    folders[name] = folder
    writeFileSync(file, JSON.stringify(folders))
    const branch = await git.branch()
    return c.json({ name, branch, head: (await git.commit(`refs/heads/${branch}`))?.sha })
  })
  app.get('/github/local/:name', (c) => {
    const found = double.find(`local/${c.req.param('name')}`)
    return found
      ? c.json({ statuses: found.statuses, deployments: found.deployments })
      : c.notFound()
  })
  app.all(`${API}/*`, (c) => double.app.fetch(c.req.raw))
  app.all('/github/webhook/*', (c) => options.webhook.fetch(c.req.raw))
  return {
    app,
    isAbout: (request) => new URL(request.url).pathname.startsWith('/github/'),
    urlOf: (repository) => (LOCAL.test(repository) ? `${origin()}${API}` : REAL),
  }
}

function readFolders(file: string): Record<string, string> {
  if (!existsSync(file)) return {}
  const folders: Record<string, string> = JSON.parse(readFileSync(file, 'utf8'))
  return folders
}
