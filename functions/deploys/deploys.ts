// The deploy function: GitHub says that something was pushed, and it runs. A wake-up names a cluster;
// each of its Repositories is brought to rest, several at a time, one never twice at once.

import { randomUUID } from 'node:crypto'
import type { Hono } from 'hono'
import { REPOSITORIES } from '#shared/api/repository.ts'
import type { Key } from '#shared/key.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { createCredentials } from './credentials.ts'
import type { DeploysDeps, Tending } from './deps.ts'
import { createGithub } from './github.ts'
import { createLastLines } from './last-lines.ts'
import { findImage } from './registry.ts'
import { repositoryKey } from './status.ts'
import { tend, type Memory } from './tend.ts'
import { createWebhook, type WebhookDeps } from './webhook.ts'

export interface Deploys {
  /**
   * Brings the cluster's Repositories to rest, as far as GitHub lets it. Rejects when the store is
   * away: the wake-up must come again.
   */
  handle(cluster: string): Promise<void>
}

const AT_ONCE = 4

/** The webhook alone: it needs neither GitHub nor timers. */
export function createDeployWebhook(
  deps: Omit<WebhookDeps, 'newId'> & { newId?: () => string },
): Hono {
  return createWebhook({ newId: () => `webhook-${randomUUID()}`, ...deps })
}

/** One instance of the function. */
export function createDeploys(deps: DeploysDeps): Deploys {
  const clusters = new Map<string, ClusterDeploys>()
  return {
    handle(cluster) {
      let known = clusters.get(cluster)
      if (!known) {
        known = new ClusterDeploys(cluster, deps)
        clusters.set(cluster, known)
      }
      return known.run()
    },
  }
}

class ClusterDeploys {
  readonly #cluster: string
  readonly #deps: Tending['deps']
  readonly #fetch: typeof fetch
  readonly #credentials: ReturnType<typeof createCredentials>
  readonly #memories = new Map<Key, Memory>()
  readonly #caches = new Map<string, Map<string, { etag: string; body: unknown }>>()
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(cluster: string, deps: DeploysDeps) {
    this.#cluster = cluster
    this.#fetch = deps.fetch ?? fetch
    this.#credentials = createCredentials(deps.clock, this.#fetch)
    this.#deps = {
      urlOfAddress: (address, port) => `http://${address}${port === 80 ? '' : `:${port}`}`,
      lastLines: createLastLines(),
      newId: () => `deploys-${randomUUID()}`,
      ...deps,
    }
  }

  /** Runs now, or once more after the run that is under way. */
  run(): Promise<void> {
    if (!this.#running) return this.#start()
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#start()
      })
    return this.#next
  }

  #start(): Promise<void> {
    this.#running = this.#tendAll().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #tendAll(): Promise<void> {
    const live = await this.#deps.views.open(this.#cluster)
    const reader = await live.catchUp()
    const keys = reader.list(REPOSITORIES).map(({ metadata }) => repositoryKey(metadata))
    for (const key of this.#memories.keys()) if (!keys.includes(key)) this.#memories.delete(key)
    const times: number[] = []
    const failures: unknown[] = []
    const queue = [...keys]
    const worker = async (): Promise<void> => {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
        try {
          const atMs = await this.#tendOne(key, live)
          if (atMs !== undefined) times.push(atMs)
        } catch (error) {
          this.#deps.log.error('a Repository could not be tended', {
            cluster: this.#cluster,
            key,
            error,
          })
          failures.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, keys.length) }, worker))
    if (times.length > 0) await this.#wakeAt(Math.min(...times))
    if (failures.length > 0) throw failures[0]
  }

  #tendOne(key: Key, live: Tending['live']): Promise<number | undefined> {
    let memory = this.#memories.get(key)
    if (!memory) {
      // A new instance knows nothing of what was pushed before: it asks.
      memory = { nextCheckMs: 0 }
      this.#memories.set(key, memory)
    }
    const tending: Tending = {
      deps: this.#deps,
      cluster: this.#cluster,
      live,
      key,
      github: async (repository, reader) => {
        const url = this.#deps.githubUrl(repository.spec.repository)
        const { token, isApp } = await this.#credentials.tokenFor(repository, reader, url)
        return createGithub({
          url,
          repository: repository.spec.repository,
          token,
          isApp,
          onUnauthorized: () => token && this.#credentials.forget(token),
          clock: this.#deps.clock,
          fetch: this.#fetch,
          cache: this.#cacheOf(`${key} ${token ?? ''}`),
        })
      },
      findImage: async (repository, reader, want) => {
        const url = this.#deps.githubUrl(repository.spec.repository)
        const { token } = await this.#credentials.tokenFor(repository, reader, url)
        const options = { clock: this.#deps.clock, fetch: this.#fetch, githubToken: token }
        return findImage(options, want)
      },
    }
    return tend(tending, memory)
  }

  /** Answers are kept apart by who asked: another token may see less. */
  #cacheOf(id: string): Map<string, { etag: string; body: unknown }> {
    const known = this.#caches.get(id)
    if (known) return known
    const made = new Map<string, { etag: string; body: unknown }>()
    this.#caches.set(id, made)
    const [oldest] = this.#caches.keys()
    if (this.#caches.size > 100 && oldest !== undefined) this.#caches.delete(oldest)
    return made
  }

  async #wakeAt(atMs: number): Promise<void> {
    try {
      await this.#deps.timers.wake(this.#cluster, Math.ceil(atMs / 1000) * 1000, TOPICS.deploys)
    } catch (error) {
      this.#deps.log.warn('asking for a wake-up failed', { cluster: this.#cluster, error })
    }
  }
}
