// One cluster as one process sees it: a view that is caught up before each use, told of the process's
// own commits at once, and fanned out to watches. The contract that functions share; see
// create-live-views.ts for how it is kept.

import type { Commit, Revision, Version } from '#shared/ports/store.ts'
import type { Reader } from '#shared/view/reader.ts'

export interface LiveView {
  readonly cluster: string
  /** The view as it is, without asking the store; may be stale. */
  readonly current: Reader
  /**
   * Reads what is new and answers the view: at least as fresh as the moment of the call, unless
   * `atLeast` is given and already reached, which costs no read. Calls at the same time share one
   * query. Error: ServiceUnavailable (with retryAfterSeconds) when the store does not answer in time.
   */
  catchUp(atLeast?: Version): Promise<Reader>
  /**
   * Commits and applies the result to this view. Errors as Store.commit. On Conflict the view has
   * not moved: catch up and compute again.
   */
  commit(commit: Commit): Promise<Revision>
  /**
   * Calls `listener` with each batch of revisions, in order, without gap or repeat, from the next
   * one after `current.version` on. While at least one listener is there the log is followed.
   * Answers the function that ends it.
   */
  listen(listener: (revisions: readonly Revision[]) => void): () => void
  /**
   * The revisions after `since` up to current, oldest first, as far as they are kept in memory or
   * in the log. Expired: the log does not reach back that far, or `since` is from before it began.
   */
  history(since: Version): Promise<readonly Revision[]>
}

export interface LiveViews {
  /** Loads the cluster on first use (checkpoint and tail). An unknown cluster is an empty one. */
  open(cluster: string): Promise<LiveView>
  /** Writes a checkpoint of the cluster's current view (the sweep asks for it, when worth it). */
  checkpoint(cluster: string): Promise<void>
  /** Forgets the cluster (after it was deleted). */
  forget(cluster: string): Promise<void>
  close(): Promise<void>
}
