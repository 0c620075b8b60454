// The newest revisions of one cluster, kept in memory so that a watch that starts a little in the
// past costs no read. Bounded by number and by size.

import type { Revision, Version } from '#shared/ports/store.ts'

export interface HistoryLimits {
  revisions: number
  /** Of JSON text, about what the objects take in memory. */
  bytes: number
}

/** Every revision after `start`, as long as they fit. */
export class History {
  readonly #limits: HistoryLimits
  #start: Version
  #revisions: { revision: Revision; bytes: number }[] = []
  #bytes = 0

  constructor(start: Version, limits: HistoryLimits) {
    this.#start = start
    this.#limits = limits
  }

  add(revision: Revision): void {
    const bytes = JSON.stringify(revision).length
    this.#revisions.push({ revision, bytes })
    this.#bytes += bytes
    while (this.#isFull()) this.#forgetOldest()
  }

  /** The revisions after `since`, oldest first, or undefined when some of them were forgotten. */
  after(since: Version): Revision[] | undefined {
    if (since < this.#start) return undefined
    return this.#revisions.flatMap(({ revision }) => (revision.version > since ? revision : []))
  }

  #isFull(): boolean {
    return this.#revisions.length > this.#limits.revisions || this.#bytes > this.#limits.bytes
  }

  /** Those of one version go together: a reader cannot stand between them. */
  #forgetOldest(): void {
    const oldest = this.#revisions[0]?.revision.version
    if (oldest === undefined) return
    const kept = this.#revisions.findIndex(({ revision }) => revision.version !== oldest)
    const gone = this.#revisions.splice(0, kept < 0 ? this.#revisions.length : kept)
    for (const { bytes } of gone) this.#bytes -= bytes
    this.#start = oldest
  }
}
