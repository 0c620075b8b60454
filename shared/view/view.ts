// The whole cluster in memory, indexed: what a checkpoint and the log's tail add up to.
// Revisions are applied in the order of the log; the result depends on nothing else.

import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'
import { NO_VERSION } from '../ports/store.ts'
import type { Checkpoint, Cursor, Revision, Version } from '../ports/store.ts'
import { BucketMap } from './bucket.ts'
import { indexIds, labelId, listId, nodeId, ownerId } from './index-ids.ts'
import type { Reader } from './reader.ts'

// How many applied revisions are remembered by id, to tell a repeat from a broken order.
const REMEMBERED = 4096

/** A Reader that follows a log. Not for controllers: those see it as a Reader only. */
export class ClusterView implements Reader {
  #version: Version = NO_VERSION
  #applied = new Set<string>()
  readonly #objects = new Map<Key, KubeObject>()
  readonly #index = new BucketMap()

  /** The view that `toCheckpoint` described. The log goes on from the checkpoint's cursor. */
  static fromCheckpoint(checkpoint: Checkpoint): ClusterView {
    const view = new ClusterView()
    view.#version = checkpoint.version
    for (const { key, object } of checkpoint.objects) view.#put(key, object)
    return view
  }

  get version(): Version {
    return this.#version
  }

  get(key: Key): KubeObject | undefined {
    return this.#objects.get(key)
  }

  list(resource: string, namespace?: string): readonly KubeObject[] {
    return this.#index.list(listId(resource, namespace))
  }

  ownedBy(uid: string): readonly KubeObject[] {
    return this.#index.list(ownerId(uid))
  }

  podsOnNode(node: string): readonly KubeObject[] {
    return this.#index.list(nodeId(node))
  }

  labelled(resource: string, namespace: string, key: string, value: string): readonly KubeObject[] {
    return this.#index.list(labelId(resource, namespace, key, value))
  }

  /**
   * Takes the next revision of the log. Answers false when it is in here already. Throws when it is
   * older than the view and was never seen: the log was not read in order, the view is not to be
   * trusted any more.
   */
  apply(revision: Revision): boolean {
    if (revision.version <= this.#version && this.#applied.has(revision.id)) return false
    if (revision.version < this.#version) {
      throw new Error(
        `revision ${revision.id} of ${revision.version} came after version ${this.#version}`,
      )
    }
    for (const { key, after } of revision.changes) {
      if (after) this.#put(key, after)
      else this.#remove(key)
    }
    this.#version = revision.version
    this.#remember(revision.id)
    return true
  }

  /** Everything in here, and where in the log to go on: `cursor` must stand at this version. */
  toCheckpoint(cursor: Cursor): Checkpoint {
    const objects = [...this.#objects].map(([key, object]) => ({ key, object }))
    objects.sort((a, b) => (a.key < b.key ? -1 : 1))
    return { version: this.#version, cursor, objects }
  }

  #remember(id: string): void {
    this.#applied.add(id)
    if (this.#applied.size <= REMEMBERED) return
    for (const oldest of this.#applied) {
      this.#applied.delete(oldest)
      return
    }
  }

  #put(key: Key, object: KubeObject): void {
    const before = this.#objects.get(key)
    this.#objects.set(key, object)
    const ids = new Set(indexIds(key, object))
    if (before) {
      for (const id of indexIds(key, before)) if (!ids.has(id)) this.#index.remove(id, key)
    }
    for (const id of ids) this.#index.put(id, key, object)
  }

  #remove(key: Key): void {
    const before = this.#objects.get(key)
    if (!before) return
    this.#objects.delete(key)
    for (const id of indexIds(key, before)) this.#index.remove(id, key)
  }
}
