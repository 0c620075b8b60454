// One cluster in one instance of the reconcile function: what was seen, what is due, what is still to
// be said.

import type { Revision, Version } from '#shared/ports/store.ts'
import { CONTROLLERS } from '#shared/reconcile/controllers.ts'
import { reconcileToFixpoint } from '#shared/reconcile/engine.ts'
import type { Fixpoint } from '#shared/reconcile/engine.ts'
import { housekeeping } from '#shared/reconcile/housekeeping.ts'
import { DEFAULT_LIMITS } from '#shared/reconcile/limits.ts'
import type { Limits } from '#shared/reconcile/limits.ts'
import type { Work } from '#shared/reconcile/work-queue.ts'
import { isReason } from '#shared/status.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { addAll, concernsOf, noConcerns } from './concerns.ts'
import { readNews } from './news.ts'
import type { News } from './news.ts'
import { tell } from './tell.ts'
import type { ReconcileDeps } from './reconcile.ts'

/** Somebody else was faster so often in a row: better to be woken again than to hold the instance. */
const CONFLICTS_MAX = 8

interface Due extends Work {
  atMs: number
}

export class ClusterReconcile {
  readonly #cluster: string
  readonly #deps: Required<Omit<ReconcileDeps, 'limits'>>
  #limits: Limits
  #seen: Version | undefined
  #due = new Map<string, Due>()
  #rest: Work[] = []
  /** Own commits after which nothing was left to do: not looked at again. */
  readonly #atRest = new Set<string>()
  /** What has still to be published; kept when that fails. */
  readonly #concerns = noConcerns()
  #askedForMs: number | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(cluster: string, { limits, ...deps }: ReconcileDeps & { newId: () => string }) {
    this.#cluster = cluster
    this.#deps = deps
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
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
    this.#running = this.#settle().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #settle(): Promise<void> {
    const live = await this.#deps.views.open(this.#cluster)
    let conflicts = 0
    do {
      const outcome = await this.#pass(live)
      if (outcome === 'done') conflicts = 0
      else if (++conflicts >= CONFLICTS_MAX) {
        throw new Error(`the commit was refused ${conflicts} times in a row`)
      }
      if (outcome === 'refused') continue
      await this.#publish(live)
    } while (conflicts > 0 || this.#rest.length > 0)
  }

  /** One computation and its commit. Nothing is remembered of one that is refused. */
  async #pass(live: LiveView): Promise<'done' | 'refused'> {
    const news = await readNews(live, this.#seen, ({ id }) => this.#atRest.has(id))
    const now = this.#deps.clock.now()
    const due = [...this.#due.values()].filter(({ atMs }) => atMs <= now)
    const result = reconcileToFixpoint({
      reader: news.reader,
      changes: news.changes,
      work: [...this.#rest, ...due],
      now,
      reconcilers: CONTROLLERS,
      limits: this.#limits,
      housekeeping,
    })
    for (const { message, error } of result.faults) {
      this.#deps.log.error(message, { cluster: this.#cluster, error })
    }
    const dues = this.#duesAfter(result)
    const requeueAtMs = earliest(dues, result.rest.length > 0 ? now : undefined)
    try {
      const revision = await this.#commit(live, result, requeueAtMs)
      this.#remember(news, result, dues, revision, live)
      return 'done'
    } catch (error) {
      if (!isRefusal(error) && !this.#shrink(error)) throw error
      return 'refused'
    }
  }

  async #commit(
    live: LiveView,
    { writes, decisions }: Fixpoint,
    requeueAtMs: number | undefined,
  ): Promise<Revision | undefined> {
    if (writes.length === 0) return undefined
    const revision = await live.commit({
      id: this.#deps.newId(),
      cause: { actor: 'function:reconcile', verb: 'reconcile' },
      writes,
      decisions,
      ...(requeueAtMs === undefined ? {} : { requeueAtMs }),
    })
    this.#deps.log.info('reconciled', { cluster: this.#cluster, writes: writes.length })
    return revision
  }

  #remember(
    news: News,
    result: Fixpoint,
    dues: Map<string, Due>,
    revision: Revision | undefined,
    live: LiveView,
  ): void {
    this.#seen = news.version
    this.#due = dues
    this.#rest = result.rest
    addAll(this.#concerns, news.concerns)
    if (!revision) return
    addAll(this.#concerns, concernsOf([revision], live.current))
    if (result.rest.length === 0) this.#atRest.add(revision.id)
    const [oldest] = this.#atRest
    if (this.#atRest.size > 1000 && oldest) this.#atRest.delete(oldest)
  }

  #duesAfter(result: Fixpoint): Map<string, Due> {
    const dues = new Map(this.#due)
    for (const [id, { reconciler, key, atMs }] of result.looked) {
      if (atMs === undefined) dues.delete(id)
      else dues.set(id, { reconciler, key, atMs })
    }
    return dues
  }

  /** A commit that was too large is made smaller; false when it cannot be, or that was not it. */
  #shrink(error: unknown): boolean {
    if (!isReason(error, 'RequestEntityTooLarge') || this.#limits.writes <= 1) return false
    const writes = Math.ceil(this.#limits.writes / 4)
    const bytes = Math.ceil(this.#limits.bytes / 4)
    this.#limits = { ...this.#limits, writes, bytes }
    this.#deps.log.warn('a commit was too large', { cluster: this.#cluster, writes, bytes })
    return true
  }

  /** What fails here is kept for the next run, which the sweep brings about. */
  async #publish(live: LiveView): Promise<void> {
    await tell(this.#deps, this.#cluster, this.#concerns, live.current)
    const atMs = earliest(this.#due, undefined)
    if (atMs === undefined || atMs === this.#askedForMs) return
    try {
      await this.#deps.timers.wake(this.#cluster, atMs)
      this.#askedForMs = atMs
    } catch (error) {
      this.#deps.log.warn('asking for a wake-up failed', { cluster: this.#cluster, error })
    }
  }
}

/** The store's word that a version has moved: nothing was applied. */
function isRefusal(error: unknown): boolean {
  return (
    isReason(error, 'Conflict') || isReason(error, 'AlreadyExists') || isReason(error, 'NotFound')
  )
}

function earliest(dues: ReadonlyMap<string, Due>, start: number | undefined): number | undefined {
  let first = start
  for (const { atMs } of dues.values()) if (first === undefined || atMs < first) first = atMs
  return first
}
