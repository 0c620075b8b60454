import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import type { ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { CountedStore, Revision, Store, Tail, Version, Write } from '#shared/ports/store.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLiveViews } from './create-live-views.ts'
import type { LiveViewsOptions } from './create-live-views.ts'
import type { LiveViews } from './live-view.ts'

const CLUSTER = 'test'

let clock: ManualClock
let store: CountedStore
let opened: LiveViews[]

beforeEach(() => {
  clock = createManualClock()
  store = createMemoryStore({ clock })
  opened = []
})

afterEach(() => Promise.all(opened.map((views) => views.close())))

function views(options: Partial<LiveViewsOptions> = {}): LiveViews {
  const made = createLiveViews({ store, clock, log: createMemoryLog(), ...options })
  opened.push(made)
  return made
}

function configMap(name: string, data: Record<string, string> = {}): KubeObject {
  const metadata = { name, namespace: 'default', uid: name, creationTimestamp: '' }
  return Object.assign({ apiVersion: 'v1', kind: 'ConfigMap', metadata }, { data })
}

let commits = 0
function write(name: string, expected: Version | null, data?: Record<string, string>) {
  const writes: Write[] = [
    { key: `configmaps/default/${name}`, object: configMap(name, data), expect: expected },
  ]
  return { id: `c${commits++}`, cause: { actor: 'user:test', verb: 'create' }, writes }
}

/** The store with some of its methods replaced. */
function instead(replaced: Partial<Store>): CountedStore {
  const pass = <K extends keyof CountedStore>(name: K): CountedStore[K] =>
    store[name].bind(store) as CountedStore[K]
  return {
    commit: pass('commit'),
    get: pass('get'),
    readCheckpoint: pass('readCheckpoint'),
    writeCheckpoint: pass('writeCheckpoint'),
    revisions: pass('revisions'),
    follow: pass('follow'),
    changedSince: pass('changedSince'),
    trim: pass('trim'),
    usage: pass('usage'),
    ...replaced,
  }
}

/** Lets everything run that waits for no time. */
async function settled(): Promise<void> {
  await clock.advance(0)
  await new Promise((resolve) => setImmediate(resolve))
}

describe('catchUp', () => {
  test('costs one read when there is nothing new', async () => {
    const live = await views().open(CLUSTER)
    await live.commit(write('a', null))
    await clock.advance(60_000)
    await live.catchUp()
    const before = store.usage()
    await live.catchUp()
    expect(store.usage()).toEqual({ ...before, reads: before.reads + 1 })
  })

  test('is free when the asked version is here already', async () => {
    const live = await views().open(CLUSTER)
    const { version } = await live.commit(write('a', null))
    const before = store.usage()
    expect((await live.catchUp(version)).version).toBe(version)
    expect(store.usage()).toEqual(before)
  })

  test('shares one read among those who ask meanwhile, one that began after they asked', async () => {
    const answers: ((tail: Tail) => void)[] = []
    const gated = instead({
      revisions: async (cluster, cursor) => {
        const tail = await store.revisions(cluster, cursor)
        if (cursor === undefined) return tail
        return new Promise((resolve) => {
          answers.push(() => resolve(tail))
        })
      },
    })
    const live = await views({ store: gated }).open(CLUSTER)
    const first = live.catchUp()
    await settled()
    expect(answers).toHaveLength(1)
    // The first read has looked already, so it cannot know of this commit.
    const { version } = await store.commit(CLUSTER, write('a', null))
    const later = [live.catchUp(), live.catchUp(), live.catchUp(version)]
    await settled()
    expect(answers).toHaveLength(1)
    answers[0]?.({ revisions: [], cursor: '' })
    await first
    await settled()
    expect(answers).toHaveLength(2)
    answers[1]?.({ revisions: [], cursor: '' })
    for (const reader of await Promise.all(later)) expect(reader.version).toBe(version)
    expect(answers).toHaveLength(2)
  })

  test('gives up after its deadline with a 503, and the next call works', async () => {
    let isFrozen = false
    const freezing = instead({
      revisions: (cluster, cursor) =>
        isFrozen ? new Promise(() => undefined) : store.revisions(cluster, cursor),
    })
    const live = await views({ store: freezing }).open(CLUSTER)
    isFrozen = true
    const stuck = live.catchUp().catch((error: unknown) => error)
    await clock.advance(10_000)
    expect(await stuck).toMatchObject({
      reason: 'ServiceUnavailable',
      details: { retryAfterSeconds: 1 },
    })
    isFrozen = false
    const { version } = await store.commit(CLUSTER, write('a', null))
    expect((await live.catchUp()).version).toBe(version)
  })

  test('loads again after a load that failed', async () => {
    let isBroken = true
    const breaking = instead({
      readCheckpoint: (cluster) =>
        isBroken ? Promise.reject(new Error('away')) : store.readCheckpoint(cluster),
    })
    const made = views({ store: breaking })
    await expect(made.open(CLUSTER)).rejects.toThrow('away')
    isBroken = false
    expect((await made.open(CLUSTER)).current.list('configmaps')).toEqual([])
  })
})

describe('commit', () => {
  test('shows the result in the view, others’ earlier commits included', async () => {
    const mine = await views().open(CLUSTER)
    const theirs = await views().open(CLUSTER)
    await theirs.commit(write('theirs', null))
    const revision = await mine.commit(write('mine', null))
    expect(mine.current.version).toBe(revision.version)
    expect(mine.current.list('configmaps').map((o) => o.metadata.name)).toEqual(['mine', 'theirs'])
  })

  test('is refused on a version that moved, and leaves the view as it was', async () => {
    const mine = await views().open(CLUSTER)
    const theirs = await views().open(CLUSTER)
    const { version } = await mine.commit(write('a', null))
    await theirs.catchUp()
    await theirs.commit(write('a', version, { by: 'them' }))
    await expect(mine.commit(write('a', version, { by: 'me' }))).rejects.toMatchObject({
      reason: 'Conflict',
      details: { name: 'a' },
    })
    expect(mine.current.version).toBe(version)
    await mine.catchUp()
    expect(mine.current.get('configmaps/default/a')).toMatchObject({ data: { by: 'them' } })
  })

  test('is no failure when only reading it back fails', async () => {
    let isFrozen = false
    const freezing = instead({
      revisions: (cluster, cursor) =>
        isFrozen ? new Promise(() => undefined) : store.revisions(cluster, cursor),
    })
    const live = await views({ store: freezing }).open(CLUSTER)
    isFrozen = true
    const committing = live.commit(write('a', null))
    await clock.advance(10_000)
    const revision = await committing
    isFrozen = false
    expect((await live.catchUp()).version).toBe(revision.version)
  })

  test('promises what it knows, so that an update reads nothing but the log', async () => {
    const live = await views().open(CLUSTER)
    const { version } = await live.commit(write('a', null))
    const before = store.usage()
    const revision = await live.commit(write('a', version, { n: '2' }))
    expect(revision.changes[0]?.before?.metadata.resourceVersion).toBe(version)
    // Its own commit and nobody else's: a count says so.
    expect(store.usage()).toEqual({
      reads: before.reads + 1,
      writes: before.writes + 2,
      deletes: before.deletes,
    })
  })
})

describe('listen', () => {
  test('delivers everyone’s commits in order, without gap or repeat', async () => {
    const data = createMemoryData()
    const [one, two] = await Promise.all(
      [0, 1].map(() => views({ store: createMemoryStore({ clock, data }) }).open(CLUSTER)),
    )
    if (!one || !two) throw new Error('two views were opened')
    await one.commit(write('before', null))
    await two.catchUp()
    const heard: [Revision[], Revision[]] = [[], []]
    const stops = [one, two].map((live, index) =>
      live.listen((revisions) => heard[index === 0 ? 0 : 1].push(...revisions)),
    )
    await settled()
    const expected: Version[] = []
    for (let round = 0; round < 20; round++) {
      const both = [one.commit(write(`a${round}`, null)), two.commit(write(`b${round}`, null))]
      for (const revision of await Promise.all(both)) expected.push(revision.version)
      if (round % 3 === 0) await clock.advance(1)
    }
    await settled()
    expected.sort()
    expect(expected).toHaveLength(40)
    expect(heard[0].map((revision) => revision.version)).toEqual(expected)
    expect(heard[1].map((revision) => revision.version)).toEqual(expected)
    for (const stop of stops) stop()
    await one.commit(write('after', null))
    expect(heard[0]).toHaveLength(40)
  })

  test('hears of a commit whose poke was lost by the safety poll', async () => {
    const deaf = instead({ follow: () => Promise.resolve(() => Promise.resolve()) })
    const live = await views({ store: deaf }).open(CLUSTER)
    const heard: Revision[] = []
    live.listen((revisions) => heard.push(...revisions))
    await settled()
    await store.commit(CLUSTER, write('a', null))
    await settled()
    expect(heard).toHaveLength(0)
    await clock.advance(30_000)
    expect(heard).toHaveLength(1)
  })

  test('follows again after following failed', async () => {
    let failures = 2
    const failing = instead({
      follow: (cluster, onChange) =>
        failures-- > 0 ? Promise.reject(new Error('away')) : store.follow(cluster, onChange),
    })
    const live = await views({ store: failing }).open(CLUSTER)
    const heard: Revision[] = []
    live.listen((revisions) => heard.push(...revisions))
    await clock.advance(2_000)
    await store.commit(CLUSTER, write('a', null))
    await settled()
    expect(heard).toHaveLength(1)
  })

  test('a listener that throws takes nothing from the others', async () => {
    const live = await views().open(CLUSTER)
    const heard: Revision[] = []
    live.listen(() => {
      throw new Error('mine')
    })
    live.listen((revisions) => heard.push(...revisions))
    await live.commit(write('a', null))
    expect(heard).toHaveLength(1)
  })

  test('one follower serves all listeners, and ends a while after the last', async () => {
    let following = 0
    const counting = instead({
      follow: async (cluster, onChange) => {
        following++
        const end = await store.follow(cluster, onChange)
        return async () => {
          following--
          await end()
        }
      },
    })
    const live = await views({ store: counting }).open(CLUSTER)
    const stops = [live.listen(() => undefined), live.listen(() => undefined)]
    await settled()
    expect(following).toBe(1)
    for (const stop of stops) stop()
    await clock.advance(1_000)
    live.listen(() => undefined)()
    await settled()
    expect(following).toBe(1)
    await clock.advance(61_000)
    expect(following).toBe(0)
  })
})

describe('a reader that was away for longer than the log is kept', () => {
  test('loads the checkpoint, and its listeners end up with the same state', async () => {
    const away = await views().open(CLUSTER)
    const a = await away.commit(write('a', null))
    await away.commit(write('b', null))
    const state = new Map<string, KubeObject>()
    for (const object of away.current.list('configmaps')) state.set(object.metadata.name, object)

    const other = createMemoryLog()
    const busy = createLiveViews({ store, clock, log: other })
    opened.push(busy)
    const live = await busy.open(CLUSTER)
    await live.commit(write('a', a.version, { n: '2' }))
    const gone = [{ key: 'configmaps/default/b', object: null, expect: versionOf('b') }]
    await live.commit({ id: 'gone', cause: { actor: 'user:test', verb: 'delete' }, writes: gone })
    const last = await live.commit(write('c', null))
    await busy.checkpoint(CLUSTER)
    expect(await store.trim(CLUSTER, last.version, 100)).toBe(4)

    // Nothing told it of all this: as after a pause of the whole process.
    const heard: Revision[] = []
    const stop = away.listen((revisions) => heard.push(...revisions))
    await away.catchUp()
    stop()
    for (const change of heard.flatMap((revision) => revision.changes)) {
      const name = change.key.split('/')[2] ?? ''
      if (change.after) state.set(name, change.after)
      else state.delete(name)
    }
    expect([...state.values()]).toEqual(live.current.list('configmaps'))
    expect(away.current.version).toBe(last.version)

    function versionOf(name: string): Version {
      return away.current.get(`configmaps/default/${name}`)?.metadata.resourceVersion ?? ''
    }
  })
})

describe('history', () => {
  test('answers from memory at no cost', async () => {
    const live = await views().open(CLUSTER)
    const made = []
    for (const name of ['a', 'b', 'c']) made.push(await live.commit(write(name, null)))
    const before = store.usage()
    expect(await live.history(made[0]?.version ?? '')).toEqual(made.slice(1))
    expect(store.usage()).toEqual(before)
  })

  test('answers from the log what memory has forgotten, and says when that has too', async () => {
    const live = await views({ history: { revisions: 2, bytes: 1_000_000 } }).open(CLUSTER)
    const made = []
    for (const name of ['a', 'b', 'c', 'd']) made.push(await live.commit(write(name, null)))
    // Someone else's commit, which this view does not know yet.
    await store.commit(CLUSTER, write('e', null))
    expect(await live.history(made[0]?.version ?? '')).toEqual(made.slice(1))
    await store.trim(CLUSTER, made[2]?.version, 100)
    await expect(live.history(made[0]?.version ?? '')).rejects.toMatchObject({ reason: 'Expired' })
    expect(await live.history(made[1]?.version ?? '')).toEqual(made.slice(2))
  })

  test('knows no version from before the log began', async () => {
    const live = await views().open(CLUSTER)
    const made = await live.commit(write('a', null))
    const earlier = String(Number(made.version) - 1)
    await expect(live.history(earlier)).rejects.toMatchObject({ reason: 'Expired' })
    expect(await live.history('0000000000000000')).toEqual([made])
    const other = await views().open(CLUSTER)
    await expect(other.history(earlier)).rejects.toMatchObject({ reason: 'Expired' })
  })

  test('forgets by size as well', async () => {
    const live = await views({ history: { revisions: 100, bytes: 1_500 } }).open(CLUSTER)
    const made = []
    for (const name of ['a', 'b', 'c']) {
      made.push(await live.commit(write(name, null, { text: 'x'.repeat(1000) })))
    }
    const before = store.usage().reads
    expect(await live.history(made[0]?.version ?? '')).toHaveLength(2)
    expect(store.usage().reads).toBeGreaterThan(before)
  })
})

test('a checkpoint and the tail open the same view elsewhere', async () => {
  const first = views()
  const live = await first.open(CLUSTER)
  await live.commit(write('a', null))
  await first.checkpoint(CLUSTER)
  await live.commit(write('b', null))
  const other = await views().open(CLUSTER)
  expect(other.current.version).toBe(live.current.version)
  expect(other.current.list('configmaps')).toEqual(live.current.list('configmaps'))
})

test('forget drops the view, the next open loads anew', async () => {
  const made = views()
  const live = await made.open(CLUSTER)
  await live.commit(write('a', null))
  await store.trim(CLUSTER, undefined, 100)
  await made.forget(CLUSTER)
  expect((await made.open(CLUSTER)).current.list('configmaps')).toEqual([])
})
