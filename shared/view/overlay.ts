// What a reconcile pass writes on: a Reader over a Reader, in which puts and removals are seen at
// once, and which answers in the end what has to be committed. Nothing of the base is copied but the
// lists that were asked for and that a write touches.

import type { KubeObject } from '../api/meta.ts'
import { isEqual } from '../equal.ts'
import { keyOf } from '../key.ts'
import type { Key } from '../key.ts'
import type { Version, Write } from '../ports/store.ts'
import { indexIds, labelId, listId, nodeId, ownerId } from './index-ids.ts'
import type { Reader } from './reader.ts'

/** One key that was written: as it is in the base, and as it is now. */
interface Entry {
  base: KubeObject | undefined
  now: KubeObject | undefined
  /** Where `now` is listed. */
  ids: ReadonlySet<string>
}

const NOWHERE: ReadonlySet<string> = new Set()

export class Overlay implements Reader {
  readonly #base: Reader
  readonly #entries = new Map<Key, Entry>()
  // The keys that a write brought into a list, changed in it, or took out of it.
  readonly #touched = new Map<string, Set<Key>>()
  readonly #lists = new Map<string, readonly KubeObject[]>()

  constructor(base: Reader) {
    this.#base = base
  }

  get version(): Version {
    return this.#base.version
  }

  /** How many keys were written, whether or not they differ from the base in the end. */
  get size(): number {
    return this.#entries.size
  }

  get(key: Key): KubeObject | undefined {
    const entry = this.#entries.get(key)
    return entry ? entry.now : this.#base.get(key)
  }

  list(resource: string, namespace?: string): readonly KubeObject[] {
    const id = listId(resource, namespace)
    return this.#merged(id, () => this.#base.list(resource, namespace), resource)
  }

  ownedBy(uid: string): readonly KubeObject[] {
    return this.#merged(ownerId(uid), () => this.#base.ownedBy(uid), undefined)
  }

  podsOnNode(node: string): readonly KubeObject[] {
    return this.#merged(nodeId(node), () => this.#base.podsOnNode(node), 'pods')
  }

  labelled(resource: string, namespace: string, key: string, value: string): readonly KubeObject[] {
    const id = labelId(resource, namespace, key, value)
    return this.#merged(id, () => this.#base.labelled(resource, namespace, key, value), resource)
  }

  /** Stores the object under this key. */
  put(key: Key, object: KubeObject): void {
    this.#set(key, object, new Set(indexIds(key, object)))
  }

  /** Takes the object away. */
  remove(key: Key): void {
    this.#set(key, undefined, NOWHERE)
  }

  /**
   * What must be committed to turn the base into this, in the order in which keys were first
   * written. What came back to how it was is not in it.
   */
  writes(): Write[] {
    const writes: Write[] = []
    for (const [key, { base, now }] of this.#entries) {
      if (!base && !now) continue
      if (base && now && isEqual(base, now)) continue
      const expect = base ? (base.metadata.resourceVersion ?? null) : null
      writes.push({ key, object: now ?? null, expect, ...(base ? { before: base } : {}) })
    }
    return writes
  }

  #set(key: Key, now: KubeObject | undefined, ids: ReadonlySet<string>): void {
    const old = this.#entries.get(key)
    const base = old ? old.base : this.#base.get(key)
    this.#entries.set(key, { base, now, ids })
    if (!old && base) for (const id of indexIds(key, base)) this.#touch(id, key)
    for (const id of old?.ids ?? NOWHERE) this.#lists.delete(id)
    for (const id of ids) this.#touch(id, key)
  }

  #touch(id: string, key: Key): void {
    const keys = this.#touched.get(id)
    if (keys) keys.add(key)
    else this.#touched.set(id, new Set([key]))
    this.#lists.delete(id)
  }

  /** The base's list of an id with the writes in their places. */
  #merged(
    id: string,
    base: () => readonly KubeObject[],
    resource: string | undefined,
  ): readonly KubeObject[] {
    const touched = this.#touched.get(id)
    if (!touched) return base()
    const known = this.#lists.get(id)
    if (known) return known
    const changed = [...touched].sort().map((key): [Key, KubeObject | undefined] => {
      const entry = this.#entries.get(key)
      return [key, entry?.ids.has(id) ? entry.now : undefined]
    })
    const list =
      resource === undefined
        ? this.#appended(base(), touched, changed)
        : mergeInOrder(base(), resource, changed)
    this.#lists.set(id, list)
    return list
  }

  /** For lists of mixed resources, whose keys cannot be told from the objects. */
  #appended(
    base: readonly KubeObject[],
    touched: ReadonlySet<Key>,
    changed: readonly [Key, KubeObject | undefined][],
  ): readonly KubeObject[] {
    const hidden = new Set<KubeObject>()
    for (const key of touched) {
      const object = this.#entries.get(key)?.base
      if (object) hidden.add(object)
    }
    const kept = base.filter((object) => !hidden.has(object))
    return [...kept, ...changed.flatMap(([, object]) => object ?? [])]
  }
}

/**
 * A list in key order with some keys replaced, removed or added: found by bisection and copied in
 * stretches, because a list of all pods is long and the changes are few.
 */
function mergeInOrder(
  base: readonly KubeObject[],
  resource: string,
  changed: readonly [Key, KubeObject | undefined][],
): readonly KubeObject[] {
  const stretches: (readonly KubeObject[])[] = []
  let from = 0
  for (const [key, object] of changed) {
    const { at, isThere } = find(base, resource, key, from)
    stretches.push(base.slice(from, at))
    if (object) stretches.push([object])
    from = isThere ? at + 1 : at
  }
  stretches.push(base.slice(from))
  return stretches.flat()
}

/** Where `key` is, or would be, in the list from `from` on. */
function find(
  list: readonly KubeObject[],
  resource: string,
  key: Key,
  from: number,
): { at: number; isThere: boolean } {
  let low = from
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keyIn(list, resource, middle) < key) low = middle + 1
    else high = middle
  }
  return { at: low, isThere: low < list.length && keyIn(list, resource, low) === key }
}

function keyIn(list: readonly KubeObject[], resource: string, index: number): Key {
  const metadata = list[index]?.metadata
  return keyOf(resource, metadata?.namespace, metadata?.name ?? '')
}
