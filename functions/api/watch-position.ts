// Joins history and the live log without gap or repeat: everything that a watch will be told stands
// in one queue, in the order of the log. The queue is bounded: who does not read is dropped.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Revision, Version } from '#shared/ports/store.ts'
import type { LiveView } from '../cluster/live-view.ts'

/** Changes that may wait for one client; beyond it the watch ends and the client starts again. */
export const MAX_WAITING_CHANGES = 20_000

export class WatchPosition {
  /** Revisions not yet taken. */
  #waiting: Revision[] = []
  #waitingChanges = 0
  /** Ids that came from history: the live log may bring the newest of them again. */
  #known = new Set<string>()
  #version: Version
  #isOverrun = false
  readonly #stop: () => void
  readonly #onNews: () => void

  private constructor(view: LiveView, since: Version, onNews: () => void) {
    this.#version = since
    this.#onNews = onNews
    this.#stop = view.listen((revisions) => this.#append(revisions))
  }

  /** From the view as it is now on. Answers the objects of now with it, of one instant. */
  static fromNow(
    view: LiveView,
    list: () => readonly KubeObject[],
    onNews: () => void,
  ): { position: WatchPosition; objects: readonly KubeObject[] } {
    // No await in between: what the list does not hold, the listener will bring.
    const position = new WatchPosition(view, view.current.version, onNews)
    return { position, objects: list() }
  }

  /** From `since` on. Error: Expired. The view has reached `since`. */
  static async after(view: LiveView, since: Version, onNews: () => void): Promise<WatchPosition> {
    const present = view.current.version
    const position = new WatchPosition(view, since, onNews)
    if (since >= present) return position
    try {
      const history = await view.history(since)
      position.#prepend(history.filter((revision) => revision.version > since))
      return position
    } catch (error) {
      position.close()
      throw error
    }
  }

  /** The version up to which everything was taken. */
  get version(): Version {
    return this.#version
  }

  /** True when the client was too slow: nothing more will come. */
  get isOverrun(): boolean {
    return this.#isOverrun
  }

  /** The next revision, or undefined when there is none yet. */
  take(): Revision | undefined {
    const revision = this.#waiting.shift()
    if (!revision) return undefined
    this.#waitingChanges -= revision.changes.length
    if (revision.version > this.#version) this.#version = revision.version
    return revision
  }

  close(): void {
    this.#stop()
    this.#waiting = []
  }

  #prepend(history: readonly Revision[]): void {
    for (const revision of history) this.#known.add(revision.id)
    const live = this.#waiting.filter((revision) => !this.#known.has(revision.id))
    this.#waiting = [...history, ...live]
    this.#waitingChanges = this.#waiting.reduce((sum, each) => sum + each.changes.length, 0)
  }

  #append(revisions: readonly Revision[]): void {
    if (this.#isOverrun) return
    for (const revision of revisions) {
      if (this.#known.delete(revision.id)) continue
      this.#waiting.push(revision)
      this.#waitingChanges += revision.changes.length
    }
    if (this.#waitingChanges > MAX_WAITING_CHANGES) {
      this.#isOverrun = true
      this.close()
    }
    this.#onNews()
  }
}
