// What this process committed in the last seconds. Catching up after a commit of one's own is the
// commonest case of all; when a count says that nobody else's is there, nothing need be read back.

import type { Revision, Version } from '#shared/ports/store.ts'

export interface OwnCommit {
  revision: Revision
  /** The server time that its document carries. */
  atMs: number
}

/** By cluster, as long as a reader can need them. */
export class OwnCommits {
  readonly #keepMs: number
  readonly #commits = new Map<string, OwnCommit[]>()

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  add(cluster: string, commit: OwnCommit): void {
    const kept = (this.#commits.get(cluster) ?? []).filter(
      (older) => older.atMs > commit.atMs - this.#keepMs,
    )
    kept.push(commit)
    this.#commits.set(cluster, kept)
  }

  /** Those after `version`, oldest first. */
  after(cluster: string, version: Version): OwnCommit[] {
    return (this.#commits.get(cluster) ?? [])
      .filter(({ revision }) => revision.version > version)
      .sort((a, b) => (a.revision.version < b.revision.version ? -1 : 1))
  }

  forget(cluster: string): void {
    this.#commits.delete(cluster)
  }
}
