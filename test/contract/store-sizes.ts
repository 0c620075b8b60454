// The part of the Store contract about large things: objects, commits, checkpoints.

import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { COMMIT_BYTES_MAX, OBJECT_BYTES_MAX } from '#shared/ports/store.ts'
import type { Checkpoint, CountedStore } from '#shared/ports/store.ts'
import { CLUSTER, commitOf, configMap, keyOfMap, put } from './store-fixture.ts'
import type { OpenStore } from './store-fixture.ts'

const MIB = 1_048_576

/** Text that hardly gets smaller: what a Secret full of keys looks like. Always the same. */
function noise(length: number, seed = 1): string {
  const words = new Uint32Array(Math.ceil((length * 3) / 16))
  let state = seed
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[index] = Math.imul(state ^ (state >>> 15), 0x85ebca6b) ^ (state >>> 13)
  }
  return Buffer.from(words.buffer).toString('base64').slice(0, length)
}

export function storeSizeContract(open: OpenStore): void {
  let store: CountedStore
  let other: CountedStore
  let close: () => Promise<void>

  beforeEach(async () => {
    const opened = await open()
    store = opened.store
    other = opened.other
    close = () => opened.close()
  })
  afterEach(() => close())

  describe('large objects', () => {
    test('of 1.2 MiB are stored, logged, changed and removed like small ones', async () => {
      const text = noise(1.2 * MIB)
      expect(deflateRawSync(text).length).toBeGreaterThan(0.85 * MIB)
      const first = await store.commit(CLUSTER, commitOf(put('a', null, { text })))
      expect(await other.get(CLUSTER, keyOfMap('a'))).toMatchObject({ data: { text } })
      const changed = noise(1.2 * MIB, 2)
      const second = await store.commit(
        CLUSTER,
        commitOf(put('a', first.version, { text: changed })),
      )
      const { revisions } = await other.revisions(CLUSTER, undefined)
      expect(revisions).toEqual([first, second])
      expect(revisions[1]?.changes[0]?.before).toEqual(first.changes[0]?.after)
      const third = await store.commit(CLUSTER, commitOf(put('a', second.version, { n: 'small' })))
      const small = await other.get(CLUSTER, keyOfMap('a'))
      expect(small).toEqual(third.changes[0]?.after)
      const removal = { key: keyOfMap('a'), object: null, expect: third.version }
      await store.commit(CLUSTER, commitOf(removal))
      expect(await other.get(CLUSTER, keyOfMap('a'))).toBeUndefined()
    })

    test('just under the limit are stored, even if they hardly get smaller', async () => {
      const text = noise(OBJECT_BYTES_MAX - 1000)
      await store.commit(CLUSTER, commitOf(put('a', null, { text })))
      expect(await other.get(CLUSTER, keyOfMap('a'))).toMatchObject({ data: { text } })
    })

    test('above the limit are refused with 413, however well they compress', async () => {
      const text = 'x'.repeat(OBJECT_BYTES_MAX + 1)
      await expect(
        store.commit(CLUSTER, commitOf(put('small', null), put('a', null, { text }))),
      ).rejects.toMatchObject({ reason: 'RequestEntityTooLarge', code: 413 })
      expect(await other.get(CLUSTER, keyOfMap('small'))).toBeUndefined()
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([])
    })
  })

  describe('large commits', () => {
    test('of many ordinary objects are stored', async () => {
      const data = { text: 'an ordinary configuration file, more or less; '.repeat(120) }
      const writes = Array.from({ length: 800 }, (_, index) => put(`map-${index}`, null, data))
      expect(800 * JSON.stringify(data).length).toBeGreaterThan(COMMIT_BYTES_MAX)
      const revision = await store.commit(CLUSTER, commitOf(...writes))
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([revision])
      expect(await other.get(CLUSTER, keyOfMap('map-799'))).toMatchObject({ data })
    })

    test('that no single commit can carry are refused with 413', async () => {
      const writes = [1, 2, 3, 4].map((seed) =>
        put(`map-${seed}`, null, { text: noise(1.2 * MIB, seed) }),
      )
      await expect(store.commit(CLUSTER, commitOf(...writes))).rejects.toMatchObject({
        reason: 'RequestEntityTooLarge',
      })
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([])
    })
  })

  describe('checkpoints', () => {
    const checkpoint = (version: number, names: string[], text: string): Checkpoint => ({
      version: String(version).padStart(16, '0'),
      cursor: `cursor-${version}`,
      objects: names.map((name, index) => ({
        key: keyOfMap(name),
        object: configMap(name, { text: `${index}${text}` }),
      })),
    })

    test('are read as they were written; a newer one replaces an older, never the reverse', async () => {
      expect(await other.readCheckpoint(CLUSTER)).toBeUndefined()
      const first = checkpoint(5, ['a', 'b'], 'x')
      const second = checkpoint(7, ['b', 'c', 'd'], 'y')
      await store.writeCheckpoint(CLUSTER, first)
      expect(await other.readCheckpoint(CLUSTER)).toEqual(first)
      await other.writeCheckpoint(CLUSTER, second)
      await store.writeCheckpoint(CLUSTER, first)
      expect(await store.readCheckpoint(CLUSTER)).toEqual(second)
      expect(await store.readCheckpoint('another')).toBeUndefined()
    })

    test('of nothing are possible', async () => {
      const empty = checkpoint(5, [], '')
      await store.writeCheckpoint(CLUSTER, empty)
      expect(await other.readCheckpoint(CLUSTER)).toEqual(empty)
    })

    test('may be larger than a document, and than a commit', async () => {
      const big = checkpoint(5, ['a', 'b', 'c', 'd', 'e'], noise(1.2 * MIB))
      await store.writeCheckpoint(CLUSTER, big)
      expect(await other.readCheckpoint(CLUSTER)).toEqual(big)
      const small = checkpoint(6, ['a'], 'x')
      await store.writeCheckpoint(CLUSTER, small)
      expect(await other.readCheckpoint(CLUSTER)).toEqual(small)
    })

    test('written by several at once: the newest stays, whole', async () => {
      const all = [3, 9, 4, 8, 5].map((version) =>
        checkpoint(version, ['a', 'b'], noise(1000, version)),
      )
      await Promise.all(
        all.map((one, index) => (index % 2 ? store : other).writeCheckpoint(CLUSTER, one)),
      )
      expect(await store.readCheckpoint(CLUSTER)).toEqual(all[1])
    })

    test('cost a read for the head and one for each document of data', async () => {
      await store.writeCheckpoint(CLUSTER, checkpoint(5, ['a'], 'x'))
      expect(store.usage()).toMatchObject({ writes: 2, deletes: 0 })
      const before = other.usage().reads
      await other.readCheckpoint(CLUSTER)
      expect(other.usage().reads - before).toBe(2)
      await store.writeCheckpoint(CLUSTER, checkpoint(6, ['a'], 'x'))
      expect(store.usage()).toMatchObject({ writes: 4, deletes: 1 })
    })
  })
}
