// One cluster as this process sees it: always a prefix of the log, in the log's order. Own commits
// get into it the same way as everyone's, by reading the tail: another writer's commit may have come
// before one's own, and only the log knows. The store makes reading back one's own commit cheap.

import { logExpired } from '#shared/ports/store-rules.ts'
import { NO_VERSION } from '#shared/ports/store.ts'
import type {
  Change,
  Checkpoint,
  Commit,
  Cursor,
  Revision,
  Tail,
  Version,
  Write,
} from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import { ClusterView } from '#shared/view/view.ts'
import type { LiveViewsOptions } from './create-live-views.ts'
import { within } from '#shared/deadline.ts'
import { Follower } from './follower.ts'
import { History } from './history.ts'
import type { LiveView } from './live-view.ts'

type Listener = (revisions: readonly Revision[]) => void

/** The view and the place in the log at which it stands: they only ever move together. */
interface Position {
  view: ClusterView
  cursor: Cursor
}

export class ClusterLiveView implements LiveView {
  readonly cluster: string
  readonly #options: Required<LiveViewsOptions>
  readonly #listeners = new Set<Listener>()
  readonly #follower: Follower
  #position: Position
  #history: History
  // The version of the log's first revision, when this view has read the log from its beginning.
  #firstVersion: Version = NO_VERSION
  #reading: Promise<void> | undefined
  #readingNext: Promise<void> | undefined

  /** Reads checkpoint and tail. Errors: ServiceUnavailable. */
  static async load(
    cluster: string,
    options: Required<LiveViewsOptions>,
  ): Promise<ClusterLiveView> {
    const live = new ClusterLiveView(cluster, options)
    await within(options.clock, options.deadlineMs, 'loading the cluster', live.#restart())
    return live
  }

  private constructor(cluster: string, options: Required<LiveViewsOptions>) {
    this.cluster = cluster
    this.#options = options
    this.#position = { view: new ClusterView(), cursor: NO_VERSION }
    this.#history = new History(NO_VERSION, options.history)
    this.#follower = new Follower({
      ...options,
      cluster,
      catchUp: (version) => this.catchUp(version),
    })
  }

  get current(): Reader {
    return this.#position.view
  }

  async catchUp(atLeast?: Version): Promise<Reader> {
    if (!this.#hasReached(atLeast)) {
      const reading = this.#catchUpBy(atLeast)
      await within(this.#options.clock, this.#options.deadlineMs, 'reading the log', reading)
    }
    return this.#position.view
  }

  async commit(commit: Commit): Promise<Revision> {
    const writes = commit.writes.map((write) => this.#withBefore(write))
    const revision = await this.#options.store.commit(this.cluster, { ...commit, writes })
    try {
      await this.catchUp(revision.version)
    } catch (error) {
      // It is committed; that this process cannot see it yet must not look like a failed commit.
      this.#options.log.warn('reading back a commit failed', { cluster: this.cluster, error })
    }
    return revision
  }

  listen(listener: Listener): () => void {
    // A function of its own, so that one listener may listen twice.
    const deliver: Listener = (revisions) => listener(revisions)
    this.#listeners.add(deliver)
    const release = this.#follower.retain()
    return () => {
      this.#listeners.delete(deliver)
      release()
    }
  }

  async history(since: Version): Promise<readonly Revision[]> {
    // A version from before the log began is one of another log: that of a laptop before its restart.
    if (since !== NO_VERSION && since < this.#firstVersion) throw logExpired()
    const kept = this.#history.after(since)
    if (kept) return kept
    const { version } = this.current
    const { store, clock, deadlineMs } = this.#options
    const reading = store.revisions(this.cluster, since)
    const { revisions } = await within(clock, deadlineMs, 'reading the log', reading)
    return revisions.filter((revision) => revision.version <= version)
  }

  toCheckpoint(): Checkpoint {
    const { view, cursor } = this.#position
    return view.toCheckpoint(cursor)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#follower.close()
  }

  #hasReached(version: Version | undefined): boolean {
    return version !== undefined && this.#position.view.version >= version
  }

  /** What is known here need not be read by the store for the revision's `before`. */
  #withBefore(write: Write): Write {
    if (write.expect === null || write.before) return write
    const before = this.#position.view.get(write.key)
    return before?.metadata.resourceVersion === write.expect ? { ...write, before } : write
  }

  /** A read under way that began earlier may be enough for a version, never for "now". */
  async #catchUpBy(atLeast: Version | undefined): Promise<void> {
    if (atLeast === undefined || !this.#reading) return this.#freshRead()
    await this.#reading.catch(() => undefined)
    if (!this.#hasReached(atLeast)) await this.#sharedRead()
  }

  /** A read that starts from here on; all who ask while one is under way share the next. */
  #freshRead(): Promise<void> {
    if (!this.#reading) return this.#sharedRead()
    this.#readingNext ??= this.#reading
      .catch(() => undefined)
      .then(() => {
        this.#readingNext = undefined
        return this.#sharedRead()
      })
    return this.#readingNext
  }

  /** The read under way, or one that starts now. */
  #sharedRead(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    try {
      await this.#advance(this.#position)
    } catch (error) {
      if (!isReason(error, 'Expired') && !(error instanceof OutOfOrder)) throw error
      this.#options.log.warn('the view is loaded again', { cluster: this.cluster, error })
      await this.#restart()
    }
  }

  async #advance(position: Position): Promise<void> {
    const { store, clock, deadlineMs } = this.#options
    const asked = store.revisions(this.cluster, position.cursor)
    const tail = await within(clock, deadlineMs, 'reading the log', asked)
    const news: Revision[] = []
    if (position.view.version === NO_VERSION) this.#firstVersion = firstOf(tail)
    try {
      for (const revision of tail.revisions) {
        if (!applyTo(position.view, revision)) continue
        this.#history.add(revision)
        news.push(revision)
      }
      position.cursor = tail.cursor
    } finally {
      this.#deliver(news)
    }
  }

  /** Loads everything anew: at first use, and when the log no longer reaches back to the cursor. */
  async #restart(): Promise<void> {
    const { store, clock, deadlineMs, history } = this.#options
    const asked = store.readCheckpoint(this.cluster)
    const checkpoint = await within(clock, deadlineMs, 'reading the checkpoint', asked)
    const view = checkpoint ? ClusterView.fromCheckpoint(checkpoint) : new ClusterView()
    const tail = await within(
      clock,
      deadlineMs,
      'reading the log',
      store.revisions(this.cluster, checkpoint?.cursor),
    )
    const kept = new History(view.version, history)
    for (const revision of tail.revisions) {
      view.apply(revision)
      kept.add(revision)
    }
    const old = this.#position.view
    this.#position = { view, cursor: tail.cursor }
    this.#history = kept
    this.#firstVersion = checkpoint ? NO_VERSION : firstOf(tail)
    if (this.#listeners.size > 0) this.#deliver(stepBetween(old, view))
  }

  #deliver(revisions: Revision[]): void {
    if (revisions.length === 0) return
    for (const listener of this.#listeners) {
      try {
        listener(revisions)
      } catch (error) {
        this.#options.log.error('a listener failed', { cluster: this.cluster, error })
      }
    }
  }
}

function firstOf(tail: Tail): Version {
  return tail.revisions[0]?.version ?? NO_VERSION
}

class OutOfOrder extends Error {}

function applyTo(view: ClusterView, revision: Revision): boolean {
  try {
    return view.apply(revision)
  } catch (error) {
    throw new OutOfOrder('the log was not read in order', { cause: error })
  }
}

/**
 * What listeners are told when the steps themselves are gone from the log: one that has the same
 * effect, so that they end up with the same state.
 */
function stepBetween(old: ClusterView, view: ClusterView): Revision[] {
  const changes: Change[] = []
  for (const { key, object: before } of old.toCheckpoint('').objects) {
    const after = view.get(key)
    if (after?.metadata.resourceVersion === before.metadata.resourceVersion) continue
    changes.push({ key, before, ...(after ? { after } : {}) })
  }
  for (const { key, object: after } of view.toCheckpoint('').objects) {
    if (!old.get(key)) changes.push({ key, after })
  }
  if (changes.length === 0) return []
  const cause = { actor: 'function:views', verb: 'resync', detail: 'the log was compacted' }
  return [{ id: `resync-${view.version}`, version: view.version, cause, changes, decisions: [] }]
}
