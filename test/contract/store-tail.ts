// The part of the Store contract about reading, following and trimming the log.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CountedStore, Cursor, Revision, Version } from '#shared/ports/store.ts'
import { ClusterView } from '#shared/view/view.ts'
import { eventually } from './bus.ts'
import { CLUSTER, commitOf, keyOfMap, put } from './store-fixture.ts'
import type { OpenStore, StoreUnderTest } from './store-fixture.ts'

export function storeTailContract(open: OpenStore): void {
  let store: CountedStore
  let other: CountedStore
  let opened: StoreUnderTest

  beforeEach(async () => {
    opened = await open()
    ;({ store, other } = opened)
  })
  afterEach(() => opened.close())

  const create = (name: string, cluster = CLUSTER): Promise<Revision> =>
    store.commit(cluster, commitOf(put(name, null)))

  const readsOf = async (handle: CountedStore, work: () => Promise<unknown>): Promise<number> => {
    const before = handle.usage().reads
    await work()
    return handle.usage().reads - before
  }

  describe('revisions', () => {
    test('are read once by a chain of cursors, from the start, the middle or the end', async () => {
      const made = []
      for (const name of ['a', 'b', 'c']) made.push(await create(name))
      const all = await other.revisions(CLUSTER, undefined)
      expect(all.revisions).toEqual(made)
      const nothing = await other.revisions(CLUSTER, all.cursor)
      expect(nothing.revisions).toEqual([])
      const last = await create('d')
      for (const { cursor } of [all, nothing]) {
        expect((await other.revisions(CLUSTER, cursor)).revisions).toEqual([last])
      }
      const fromVersion = await other.revisions(CLUSTER, made[0]?.version)
      expect(fromVersion.revisions).toEqual([...made.slice(1), last])
      const end = await other.revisions(CLUSTER, fromVersion.cursor)
      expect(end.revisions).toEqual([])
    })

    test('of an empty cluster are none, and the first is found from there', async () => {
      const empty = await other.revisions(CLUSTER, undefined)
      expect(empty.revisions).toEqual([])
      const first = await create('a')
      expect((await other.revisions(CLUSTER, empty.cursor)).revisions).toEqual([first])
    })

    test('of other clusters are not seen', async () => {
      await create('a', 'two')
      expect((await store.revisions(CLUSTER, undefined)).revisions).toEqual([])
    })

    test('are the same to everyone', async () => {
      const start = await store.revisions(CLUSTER, undefined)
      const mine = await create('mine')
      const theirs = await other.commit(CLUSTER, commitOf(put('theirs', null)))
      const alsoMine = await create('also-mine')
      const both = [mine, theirs, alsoMine]
      expect((await store.revisions(CLUSTER, start.cursor)).revisions).toEqual(both)
      expect((await other.revisions(CLUSTER, start.cursor)).revisions).toEqual(both)
    })

    test('cost one read when there is nothing new, at once and later', async () => {
      await create('a')
      let { cursor } = await other.revisions(CLUSTER, undefined)
      const idle = async (): Promise<void> => {
        const tail = await other.revisions(CLUSTER, cursor)
        expect(tail.revisions).toEqual([])
        cursor = tail.cursor
      }
      expect(await readsOf(other, idle)).toBe(1)
      expect(await readsOf(other, idle)).toBe(1)
      await opened.outlastOverlap()
      expect(await readsOf(other, idle)).toBe(1)
      expect(await readsOf(other, idle)).toBe(1)
    })

    test('cost one read each, and at most one more', async () => {
      let { cursor } = await other.revisions(CLUSTER, undefined)
      const next = (handle: CountedStore, expected: number) => async (): Promise<void> => {
        const tail = await handle.revisions(CLUSTER, cursor)
        expect(tail.revisions).toHaveLength(expected)
        cursor = tail.cursor
      }
      await opened.outlastOverlap()
      await next(other, 0)()
      await create('a')
      await create('b')
      expect(await readsOf(other, next(other, 2))).toBe(2)
      // Those two may be followed by others with an earlier request: a count tells.
      await create('c')
      expect(await readsOf(other, next(other, 1))).toBe(2)
      // One's own need not be read back.
      await create('d')
      await create('e')
      expect(await readsOf(store, next(store, 2))).toBe(1)
    })

    test('have no gap, no repeat and no disorder while many write', async () => {
      const writers = 6
      const each = 15
      let isWriting = true
      const committed: Revision[] = []
      const write = async (writer: number): Promise<void> => {
        const handle = writer % 2 === 0 ? store : other
        for (let round = 0; round < each; round++) {
          const name = `w${writer}-${round}`
          committed.push(await handle.commit(CLUSTER, commitOf(put(name, null))))
        }
      }
      const read = async (handle: CountedStore): Promise<Revision[]> => {
        const seen: Revision[] = []
        let cursor: Cursor | undefined
        for (let isLast = false; ;) {
          const tail = await handle.revisions(CLUSTER, cursor)
          seen.push(...tail.revisions)
          cursor = tail.cursor
          if (isLast) return seen
          isLast = !isWriting
        }
      }
      const writing = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
      const reading = [read(store), read(other), read(other)]
      await writing
      isWriting = false
      committed.sort((a, b) => (a.version < b.version ? -1 : 1))
      const versions = committed.map((revision) => revision.version)
      expect(versions).toHaveLength(writers * each)
      for (const seen of await Promise.all(reading)) {
        expect(seen.map((revision) => revision.version)).toEqual(versions)
        expect(seen).toEqual(committed)
      }
    })

    test('a call sees every commit that was answered before it', async () => {
      let { cursor } = await other.revisions(CLUSTER, undefined)
      for (let round = 0; round < 30; round++) {
        const [mine, theirs] = await Promise.all([
          create(`mine-${round}`),
          other.commit(CLUSTER, commitOf(put(`theirs-${round}`, null))),
        ])
        const tail = await other.revisions(CLUSTER, cursor)
        expect(new Set(tail.revisions.map(({ id }) => id))).toEqual(new Set([mine.id, theirs.id]))
        cursor = tail.cursor
      }
    })
  })

  describe('trim', () => {
    beforeEach(async () => {
      await opened.close()
      opened = await open({ keepsNothing: true })
      ;({ store, other } = opened)
    })

    test('removes what is older, in bounded steps, and who is further back is told so', async () => {
      const start = await other.revisions(CLUSTER, undefined)
      const made: Revision[] = []
      for (const name of ['a', 'b', 'c', 'd']) made.push(await create(name))
      const [first, second, third, fourth] = made.map((revision) => revision.version)
      const end = await other.revisions(CLUSTER, undefined)
      expect(await store.trim(CLUSTER, third, 1)).toBe(1)
      expect(await store.trim(CLUSTER, third, 10)).toBe(1)
      expect(await store.trim(CLUSTER, third, 10)).toBe(0)
      const kept = made.slice(2)
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual(kept)
      expect((await other.revisions(CLUSTER, second)).revisions).toEqual(kept)
      expect((await other.revisions(CLUSTER, third)).revisions).toEqual(made.slice(3))
      expect((await other.revisions(CLUSTER, end.cursor)).revisions).toEqual([])
      for (const cursor of [start.cursor, first]) {
        await expect(other.revisions(CLUSTER, cursor)).rejects.toMatchObject({ reason: 'Expired' })
      }
      expect(await store.get(CLUSTER, keyOfMap('a'))).toBeDefined()
      expect(fourth).toBeDefined()
    })

    test('of a whole cluster leaves nothing, in bounded steps, and touches no other', async () => {
      for (const name of ['a', 'b', 'c']) await create(name)
      await create('kept', 'two')
      const { cursor, revisions } = await store.revisions(CLUSTER, undefined)
      const view = new ClusterView()
      for (const revision of revisions) view.apply(revision)
      await store.writeCheckpoint(CLUSTER, view.toCheckpoint(cursor))
      expect(await store.trim(CLUSTER, undefined, 4)).toBe(4)
      expect(await store.trim(CLUSTER, undefined, 100)).toBe(2)
      expect(await store.trim(CLUSTER, undefined, 100)).toBe(0)
      expect(await other.get(CLUSTER, keyOfMap('a'))).toBeUndefined()
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([])
      expect(await other.readCheckpoint(CLUSTER)).toBeUndefined()
      expect(await other.get('two', keyOfMap('kept'))).toBeDefined()
      expect((await other.revisions('two', undefined)).revisions).toHaveLength(1)
      // And it can be used again.
      await create('a')
      expect((await other.revisions(CLUSTER, undefined)).revisions).toHaveLength(1)
    })
  })

  describe('changedSince', () => {
    const msAfter = (version: Version): number => Math.floor(Number(version) / 1000) + 1

    test('names each cluster that changed, with what is due first', async () => {
      const early = await create('a')
      const due = (requeueAtMs: number) => ({
        ...commitOf(put(`due-${requeueAtMs}`, null)),
        requeueAtMs,
      })
      await opened.outlastOverlap()
      await store.commit(CLUSTER, due(3_000_000_000_000))
      await store.commit(CLUSTER, due(2_000_000_000_000))
      const last = await create('b')
      const two = await create('a', 'two')
      const changes = await other.changedSince(msAfter(early.version))
      changes.sort((a, b) => (a.cluster < b.cluster ? -1 : 1))
      expect(changes).toEqual([
        { cluster: CLUSTER, version: last.version, requeueAtMs: 2_000_000_000_000 },
        { cluster: 'two', version: two.version },
      ])
    })

    test('costs one read when nothing changed', async () => {
      const { version } = await create('a')
      await opened.outlastOverlap()
      await create('b', 'two')
      await opened.outlastOverlap()
      const later = msAfter(version) + 1_000_000
      const reads = await readsOf(other, async () => {
        expect(await other.changedSince(later)).toEqual([])
      })
      expect(reads).toBe(1)
    })
  })

  describe('follow', () => {
    test('pokes after anyone’s commit, with a version that is enough to read', async () => {
      const pokes: (Version | undefined)[] = []
      const end = await other.follow(CLUSTER, (version) => pokes.push(version))
      const mine = await create('a')
      const isTold = (version: Version) => (): boolean =>
        pokes.some((poke) => poke === undefined || poke >= version)
      await eventually('a poke after another’s commit', isTold(mine.version))
      const theirs = await other.commit(CLUSTER, commitOf(put('b', null)))
      await eventually('a poke after the own commit', isTold(theirs.version))
      await end()
    })

    test('says nothing of other clusters, and nothing after its end', async () => {
      const pokes: (Version | undefined)[] = []
      const kept: (Version | undefined)[] = []
      const end = await other.follow(CLUSTER, (version) => pokes.push(version))
      const endKept = await other.follow('two', (version) => kept.push(version))
      await create('a', 'two')
      await eventually('a poke for the cluster that changed', () => kept.length > 0)
      expect(pokes).toEqual([])
      await end()
      await create('a')
      const { version } = await create('b', 'two')
      await eventually('a poke', () => kept.some((poke) => (poke ?? '') >= version))
      expect(pokes).toEqual([])
      await endKept()
    })
  })
}
