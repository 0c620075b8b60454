// What every Store driver must do. `open` answers two handles (as of two processes) on one empty
// database, and a way to let time pass.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Commit, CountedStore, Revision, Version } from '#shared/ports/store.ts'
import { CLUSTER, commitOf, configMap, keyOfMap, put } from './store-fixture.ts'
import type { OpenStore } from './store-fixture.ts'
import { storeSizeContract } from './store-sizes.ts'
import { storeTailContract } from './store-tail.ts'

/** Runs the Store contract on a driver. */
export function storeContract(name: string, open: OpenStore): void {
  describe(`${name} keeps the Store contract`, () => {
    commitContract(open)
    storeTailContract(open)
    storeSizeContract(open)
  })
}

function commitContract(open: OpenStore): void {
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

  const create = (name: string): Promise<Revision> =>
    store.commit(CLUSTER, commitOf(put(name, null)))
  const logLength = async (): Promise<number> =>
    (await other.revisions(CLUSTER, undefined)).revisions.length

  test('a commit stores the object and appends the revision', async () => {
    const commit: Commit = {
      ...commitOf(put('a', null, { n: '1' })),
      decisions: [{ key: keyOfMap('a'), by: 'test', text: 'because' }],
      requeueAtMs: 1_700_000_000_000,
    }
    const revision = await store.commit(CLUSTER, commit)
    const { version } = revision
    expect(version).toMatch(/^\d{16}$/)
    const after = configMap('a', { n: '1' })
    after.metadata.resourceVersion = version
    expect(revision).toEqual({
      id: commit.id,
      version,
      cause: commit.cause,
      changes: [{ key: keyOfMap('a'), after }],
      decisions: commit.decisions,
      requeueAtMs: commit.requeueAtMs,
    })
    expect(await other.get(CLUSTER, keyOfMap('a'))).toEqual(after)
    expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([revision])
  })

  test('what is not there is undefined', async () => {
    await create('a')
    expect(await store.get(CLUSTER, keyOfMap('b'))).toBeUndefined()
    expect(await store.get('another', keyOfMap('a'))).toBeUndefined()
  })

  test.each(['promised', 'unknown'] as const)(
    'an update replaces the object; the revision has both (before: %s)',
    async (kind) => {
      const first = await create('a')
      const before = first.changes[0]?.after
      const write = put('a', first.version, { n: '2' })
      if (kind === 'promised' && before) write.before = before
      const second = await store.commit(CLUSTER, commitOf(write))
      expect(second.version > first.version).toBe(true)
      expect(second.changes[0]?.before).toEqual(before)
      expect(second.changes[0]?.after).toMatchObject({
        metadata: { resourceVersion: second.version },
        data: { n: '2' },
      })
      expect((await other.revisions(CLUSTER, undefined)).revisions).toEqual([first, second])
    },
  )

  test('a before that is not of the expected version is not believed', async () => {
    const first = await create('a')
    const write = { ...put('a', first.version, { n: '2' }), before: configMap('a', { n: 'lie' }) }
    const second = await store.commit(CLUSTER, commitOf(write))
    expect(second.changes[0]?.before).toEqual(first.changes[0]?.after)
  })

  test('an object that is written as it was has a new version all the same', async () => {
    const first = await create('a')
    const second = await store.commit(CLUSTER, commitOf(put('a', first.version)))
    expect(second.version > first.version).toBe(true)
    const now = await store.get(CLUSTER, keyOfMap('a'))
    expect(now?.metadata.resourceVersion).toBe(second.version)
    await store.commit(CLUSTER, commitOf(put('a', second.version)))
  })

  test('a resourceVersion inside the object has no meaning', async () => {
    const object = configMap('a')
    object.metadata.resourceVersion = '5'
    const write = { key: keyOfMap('a'), object, expect: null }
    const { version } = await store.commit(CLUSTER, commitOf(write))
    expect((await store.get(CLUSTER, keyOfMap('a')))?.metadata.resourceVersion).toBe(version)
  })

  test('a removed object is gone, its revision keeps it, and it can be made again', async () => {
    const first = await create('a')
    const removal = { key: keyOfMap('a'), object: null, expect: first.version }
    const second = await store.commit(CLUSTER, commitOf(removal))
    expect(second.changes).toEqual([{ key: keyOfMap('a'), before: first.changes[0]?.after }])
    expect(await store.get(CLUSTER, keyOfMap('a'))).toBeUndefined()
    const third = await create('a')
    expect(third.changes[0]).not.toHaveProperty('before')
    const { revisions } = await other.revisions(CLUSTER, undefined)
    expect(revisions).toEqual([first, second, third])
  })

  const stale = (before: KubeObject | undefined, version: Version) => {
    const remove = { key: keyOfMap('a'), object: null, expect: version }
    const update = put('a', version, { n: 'stale' })
    return before ? [update, remove].map((write) => ({ ...write, before })) : [update, remove]
  }

  test.each(['promised', 'unknown'] as const)(
    'a stale update or removal is a Conflict that names the object (before: %s)',
    async (kind) => {
      const first = await create('a')
      const second = await store.commit(CLUSTER, commitOf(put('a', first.version, { n: '2' })))
      const before = kind === 'promised' ? first.changes[0]?.after : undefined
      for (const write of stale(before, first.version)) {
        await expect(other.commit(CLUSTER, commitOf(write))).rejects.toMatchObject({
          name: 'StatusError',
          reason: 'Conflict',
          details: { name: 'a', kind: 'configmaps' },
        })
      }
      const now = await store.get(CLUSTER, keyOfMap('a'))
      expect(now?.metadata.resourceVersion).toBe(second.version)
      expect(await logLength()).toBe(2)
    },
  )

  test.each(['promised', 'unknown'] as const)(
    'an update or removal of what is gone is NotFound (before: %s)',
    async (kind) => {
      const first = await create('a')
      const removal = { key: keyOfMap('a'), object: null, expect: first.version }
      await store.commit(CLUSTER, commitOf(removal))
      const before = kind === 'promised' ? first.changes[0]?.after : undefined
      for (const write of stale(before, first.version)) {
        await expect(other.commit(CLUSTER, commitOf(write))).rejects.toMatchObject({
          reason: 'NotFound',
          message: 'configmaps "a" not found',
        })
      }
    },
  )

  test('creating what is there is AlreadyExists', async () => {
    await create('a')
    await expect(create('a')).rejects.toMatchObject({
      reason: 'AlreadyExists',
      message: 'configmaps "a" already exists',
    })
    expect(await logLength()).toBe(1)
  })

  test('of several writes with one stale, none is applied, and the refusal names that one', async () => {
    const a = await create('a')
    const b = await create('b')
    await store.commit(CLUSTER, commitOf(put('b', b.version, { n: '2' })))
    const before = await logLength()
    const [beforeA, beforeB] = [a, b].map((revision) => revision.changes[0]?.after)
    if (!beforeA || !beforeB) throw new Error('both were created')
    const attempt = commitOf(
      { ...put('a', a.version, { n: 'lost' }), before: beforeA },
      put('new', null),
      { ...put('b', b.version, { n: 'lost' }), before: beforeB },
    )
    await expect(other.commit(CLUSTER, attempt)).rejects.toMatchObject({
      reason: 'Conflict',
      details: { name: 'b' },
    })
    expect((await store.get(CLUSTER, keyOfMap('a')))?.metadata.resourceVersion).toBe(a.version)
    expect(await store.get(CLUSTER, keyOfMap('new'))).toBeUndefined()
    expect(await logLength()).toBe(before)
  })

  test('all objects of a commit share its version', async () => {
    const old = await create('old')
    const writes = [put('old', old.version), put('x', null), put('y', null)]
    const { version } = await store.commit(CLUSTER, commitOf(...writes))
    for (const name of ['old', 'x', 'y']) {
      const object = await store.get(CLUSTER, keyOfMap(name))
      expect(object?.metadata.resourceVersion).toBe(version)
    }
  })

  test('of many who write one object at the same time, one wins', async () => {
    const { version } = await create('a')
    const racers = Array.from({ length: 8 }, (_, racer) =>
      (racer % 2 === 0 ? store : other).commit(
        CLUSTER,
        commitOf(put('a', version, { racer: String(racer) })),
      ),
    )
    const outcomes = await Promise.allSettled(racers)
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(won).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toHaveProperty('reason', 'Conflict')
    }
    expect(await store.get(CLUSTER, keyOfMap('a'))).toEqual(won[0]?.value.changes[0]?.after)
  })

  test('of many who create one object at the same time, one does', async () => {
    const racers = Array.from({ length: 8 }, (_, racer) =>
      (racer % 2 === 0 ? store : other).commit(CLUSTER, commitOf(put('a', null))),
    )
    const outcomes = await Promise.allSettled(racers)
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        expect(outcome.reason).toHaveProperty('reason', 'AlreadyExists')
      }
    }
  })

  test('what was handed in or out cannot change what is stored', async () => {
    const write = put('a', null, { n: '1' })
    const revision = await store.commit(CLUSTER, commitOf(write))
    if (write.object) write.object.kind = 'Changed'
    const after = revision.changes[0]?.after
    expect(() => {
      if (after) after.kind = 'Changed'
    }).toThrow(TypeError)
    const read = await store.get(CLUSTER, keyOfMap('a'))
    expect(() => {
      if (read) read.metadata.name = 'changed'
    }).toThrow(TypeError)
    expect(read?.kind).toBe('ConfigMap')
  })

  test('members that are undefined are not stored', async () => {
    const object = Object.assign(configMap('a'), { spec: { gone: undefined, kept: 1 } })
    const write = { key: keyOfMap('a'), object, expect: null }
    const { changes } = await store.commit(CLUSTER, commitOf(write))
    const read = await other.get(CLUSTER, keyOfMap('a'))
    expect(read).toHaveProperty('spec')
    expect(JSON.stringify(read)).toBe(JSON.stringify(changes[0]?.after))
    expect(changes[0]?.after).not.toHaveProperty('spec.gone')
  })

  test('keys of all kinds find their objects', async () => {
    const keys = ['nodes//vm-1', 'deployments.apps/default/web', 'roles/kube-system/system:a.b-c']
    const object = configMap('any')
    await store.commit(CLUSTER, commitOf(...keys.map((key) => ({ key, object, expect: null }))))
    for (const key of keys) expect(await other.get(CLUSTER, key)).toBeDefined()
    const { revisions } = await other.revisions(CLUSTER, undefined)
    expect(revisions[0]?.changes.map((change) => change.key)).toEqual(keys)
  })

  test('a commit of nothing, or of one object twice, is a bug', async () => {
    await expect(store.commit(CLUSTER, commitOf())).rejects.toThrow('writes nothing')
    const twice = commitOf(put('a', null), put('a', null))
    await expect(store.commit(CLUSTER, twice)).rejects.toThrow('one object twice')
  })

  test('counts what Firestore bills', async () => {
    const used = async (handle: CountedStore, work: () => Promise<unknown>) => {
      const before = handle.usage()
      await work()
      const after = handle.usage()
      return [
        after.reads - before.reads,
        after.writes - before.writes,
        after.deletes - before.deletes,
      ]
    }
    const a = commitOf(put('a', null), put('b', null))
    let made: Revision | undefined
    expect(
      await used(store, async () => {
        made = await store.commit(CLUSTER, a)
      }),
    ).toEqual([0, 3, 0])
    const version = made?.version ?? ''
    expect(await used(store, () => store.get(CLUSTER, keyOfMap('a')))).toEqual([1, 0, 0])
    // Two befores to read, one document less, one more version, the revision.
    const change = commitOf(put('a', version), {
      key: keyOfMap('b'),
      object: null,
      expect: version,
    })
    expect(await used(store, () => store.commit(CLUSTER, change))).toEqual([2, 2, 1])
    // Refused by the look at the document, before anything was sent.
    const early = () => store.commit(CLUSTER, commitOf(put('a', version))).catch(() => undefined)
    expect(await used(store, early)).toEqual([1, 0, 0])
    // Refused by the precondition: then revision and object are looked at.
    const late = () => store.commit(CLUSTER, commitOf(put('a', null))).catch(() => undefined)
    expect(await used(store, late)).toEqual([2, 0, 0])
  })
}
