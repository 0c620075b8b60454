// One index entry of the view: the objects under one value, listed in key order. Listing is free
// when nothing changed and one linear merge when something did, however much is in here.

import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'

/** Nothing, as every list of nothing. */
export const NO_OBJECTS: readonly KubeObject[] = Object.freeze([])

/** A set of objects by key that answers its sorted list; lists once handed out never change. */
export class Bucket {
  #keys: Key[] = []
  #objects: readonly KubeObject[] = NO_OBJECTS
  // What was put or removed (undefined) since the list was made.
  #pending = new Map<Key, KubeObject | undefined>()
  #members = new Set<Key>()

  get size(): number {
    return this.#members.size
  }

  put(key: Key, object: KubeObject): void {
    this.#members.add(key)
    this.#pending.set(key, object)
  }

  remove(key: Key): void {
    if (this.#members.delete(key)) this.#pending.set(key, undefined)
  }

  /** All objects in key order. */
  list(): readonly KubeObject[] {
    if (this.#pending.size > 0) this.#merge()
    return this.#objects
  }

  #merge(): void {
    const changed = [...this.#pending.keys()].sort()
    const keys: Key[] = []
    const objects: KubeObject[] = []
    let old = 0
    const keepUntil = (limit: Key | undefined): void => {
      for (; old < this.#keys.length; old++) {
        const key = this.#keys[old]
        const object = this.#objects[old]
        if (key === undefined || object === undefined) return
        if (limit !== undefined && key >= limit) return
        keys.push(key)
        objects.push(object)
      }
    }
    for (const key of changed) {
      keepUntil(key)
      if (this.#keys[old] === key) old++
      const object = this.#pending.get(key)
      if (!object) continue
      keys.push(key)
      objects.push(object)
    }
    keepUntil(undefined)
    this.#keys = keys
    this.#objects = objects
    this.#pending.clear()
  }
}

/** Buckets by text, made when first put into and dropped when empty. */
export class BucketMap {
  readonly #buckets = new Map<string, Bucket>()

  put(id: string, key: Key, object: KubeObject): void {
    let bucket = this.#buckets.get(id)
    if (!bucket) {
      bucket = new Bucket()
      this.#buckets.set(id, bucket)
    }
    bucket.put(key, object)
  }

  remove(id: string, key: Key): void {
    const bucket = this.#buckets.get(id)
    bucket?.remove(key)
    if (bucket?.size === 0) this.#buckets.delete(id)
  }

  list(id: string): readonly KubeObject[] {
    return this.#buckets.get(id)?.list() ?? NO_OBJECTS
  }
}
