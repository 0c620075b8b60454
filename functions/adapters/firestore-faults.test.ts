// What the Firestore driver does when answers get lost, the server hangs or the clock moves on.
// The faults are put between the driver and a real emulator; the last ones stop the emulator itself.

import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators } from '#emulator/google/emulators.ts'
import type { CountedStore, Revision, Version } from '#shared/ports/store.ts'
import { eventually } from '#test/contract/bus.ts'
import { CLUSTER, commitOf, keyOfMap, put } from '#test/contract/store-fixture.ts'
import { freeze } from '#test/support/freeze.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFirestoreStore } from './firestore-store.ts'
import type { FirestoreStoreOptions } from './firestore-store.ts'
import { openFirestore } from './open-firestore.ts'
import type { FirestoreConnection } from './open-firestore.ts'
import { createSystemClock } from './system-clock.ts'

const host = process.env['FIRESTORE_EMULATOR_HOST']

/** A gRPC failure, as the client library throws it. */
function grpcError(code: number): Error {
  return Object.assign(new Error(`code ${code}`), { code })
}

type Commit = FirestoreConnection['commit']

describe.skipIf(!host && !process.env['CI'])('faults (needs FIRESTORE_EMULATOR_HOST)', () => {
  let connections: FirestoreConnection[]
  let projectId: string

  beforeEach(() => {
    connections = []
    projectId = `test-${randomUUID()}`
  })
  afterEach(() => Promise.all(connections.map((connection) => connection.close())))

  /** A store whose commits go through `fault`, which may call the real one. */
  function open(
    fault: (real: Commit) => Commit = (real) => real,
    options: Partial<FirestoreStoreOptions> = {},
  ): CountedStore {
    if (!host) throw new Error('CI runs every test: FIRESTORE_EMULATOR_HOST is not set')
    const connection = openFirestore({ projectId, host })
    connections.push(connection)
    return createFirestoreStore({
      connection: { ...connection, commit: fault((...asked) => connection.commit(...asked)) },
      clock: createSystemClock(),
      log: createMemoryLog(),
      ...options,
    })
  }

  const logOf = async (): Promise<Revision[]> =>
    (await open().revisions(CLUSTER, undefined)).revisions

  test.each([1, 2, 4, 13, 14])('an answer lost with code %i is found again', async (code) => {
    let calls = 0
    const store = open((real) => async (...asked) => {
      calls++
      await real(...asked)
      throw grpcError(code)
    })
    const revision = await store.commit(CLUSTER, commitOf(put('a', null)))
    expect(calls).toBe(1)
    expect(await logOf()).toEqual([revision])
    expect(store.usage()).toEqual({ reads: 1, writes: 2, deletes: 0 })
    // What was found counts as one's own: catching up need not read it.
    const tail = await store.revisions(CLUSTER, '0000000000000001')
    expect(tail.revisions).toEqual([revision])
  })

  test.each([2, 8, 10, 14])(
    'a commit that did not happen (code %i) is sent again',
    async (code) => {
      let calls = 0
      const store = open((real) => (...asked) => {
        calls++
        return calls < 3 ? Promise.reject(grpcError(code)) : real(...asked)
      })
      const revision = await store.commit(CLUSTER, commitOf(put('a', null)))
      expect(calls).toBe(3)
      expect(await logOf()).toEqual([revision])
    },
  )

  test('an attempt that came true late is not taken for somebody else’s write', async () => {
    const late: Promise<unknown>[] = []
    const store = open((real) => async (...asked) => {
      if (late.length > 0) {
        await Promise.all(late)
        return real(...asked)
      }
      late.push(real(...asked))
      throw grpcError(14)
    })
    // The look for it may come before or after it; either way it is one commit, and it succeeded.
    const revision = await store.commit(CLUSTER, commitOf(put('a', null)))
    expect(await logOf()).toEqual([revision])
  })

  test('an outcome that stays unknown is a 503 within the deadline', async () => {
    const store = open(() => () => Promise.reject(grpcError(14)), { deadlineMs: 500 })
    const started = Date.now()
    await expect(store.commit(CLUSTER, commitOf(put('a', null)))).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      details: { retryAfterSeconds: 1 },
    })
    expect(Date.now() - started).toBeLessThan(5_000)
    expect(await logOf()).toEqual([])
  })

  test('a commit that nobody answers is a 503 within the deadline', async () => {
    const store = open(() => () => new Promise(() => undefined), { deadlineMs: 500 })
    await expect(store.commit(CLUSTER, commitOf(put('a', null)))).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
    })
  })

  test('a refusal that no repetition can help is not repeated', async () => {
    let calls = 0
    const store = open(() => () => {
      calls++
      return Promise.reject(grpcError(3))
    })
    await expect(store.commit(CLUSTER, commitOf(put('a', null)))).rejects.toThrow('code 3')
    expect(calls).toBe(1)
  })

  test('readers find what is written in the next segment, and followers hear of it', async () => {
    const segmentMs = 600_000
    const clock = createManualClock(Date.now())
    const reader = open(undefined, { clock, segmentMs })
    const first = await open().commit(CLUSTER, commitOf(put('a', null)))
    const start = await reader.revisions(CLUSTER, undefined)
    expect(start.revisions).toEqual([first])
    const pokes: (Version | undefined)[] = []
    const end = await reader.follow(CLUSTER, (version) => pokes.push(version))
    const heard = pokes.length

    // The reader's clock comes near the end of the segment; another's is just past it.
    const boundary = (Math.floor(Date.now() / segmentMs) + 1) * segmentMs
    await clock.advanceTo(boundary - 5_000)
    const ahead = createManualClock(boundary + 1_000)
    const next = await open(undefined, { clock: ahead, segmentMs }).commit(
      CLUSTER,
      commitOf(put('b', null)),
    )
    await eventually('a poke from the next segment', () => pokes.length > heard)
    expect(pokes.at(-1)).toBe(next.version)
    expect((await reader.revisions(CLUSTER, start.cursor)).revisions).toEqual([next])
    await end()
  })

  test('many segments between a reader and now are one query', async () => {
    // Two minutes each, so that the present one is not the one of a commit a while ago.
    const segmentMs = 120_000
    const past = createManualClock(Date.now() - 3_600_000)
    const writer = open(undefined, { clock: past, segmentMs })
    const made = [await writer.commit(CLUSTER, commitOf(put('a', null)))]
    made.push(await open(undefined, { segmentMs }).commit(CLUSTER, commitOf(put('b', null))))
    const reader = open(undefined, { segmentMs })
    const hourAgo = String((Date.now() - 3_600_000) * 1000)
    // One read more tells how far back the log reaches.
    expect((await reader.revisions(CLUSTER, hourAgo)).revisions).toEqual(made)
    expect(reader.usage().reads).toBe(3)
  })
})

describe.skipIf(!host && !process.env['CI'])('closing (needs FIRESTORE_EMULATOR_HOST)', () => {
  // What Google's client rejects on its own would end the process; vitest fails a run for it too.
  test('lets reads under way end, and refuses later ones', async () => {
    for (let wait = 0; wait < 10; wait++) {
      const connection = openFirestore({ projectId: `test-${randomUUID()}`, host: host ?? '' })
      const store = createFirestoreStore({
        connection,
        clock: createSystemClock(),
        log: createMemoryLog(),
      })
      const revision = await store.commit(CLUSTER, commitOf(put('a', null)))
      const reading = store.revisions(CLUSTER, revision.version)
      await new Promise((resolve) => setTimeout(resolve, wait))
      await connection.close()
      await expect(reading).resolves.toMatchObject({ revisions: [] })
      await expect(store.revisions(CLUSTER, revision.version)).rejects.toThrow(
        'the connection to Firestore is closed',
      )
    }
  })
})

describe.skipIf(!host && !process.env['CI'])('a frozen emulator (needs one of its own)', () => {
  test('is answered with 503s in time, and everything goes on when it thaws', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'wherry-frozen-'))
    const emulators = await startGoogleEmulators({
      dir,
      log: createMemoryLog(),
      // Else the shared one would be used, and all other tests frozen.
      env: { ...process.env, FIRESTORE_EMULATOR_HOST: '' },
      only: ['firestore'],
    })
    const { pid, host: own } = emulators.firestore ?? {}
    if (!pid || !own) throw new Error(emulators.missing.join('\n'))
    const connection = openFirestore({ projectId: 'frozen', host: own, deadlineMs: 3_000 })
    const store = createFirestoreStore({
      connection,
      clock: createSystemClock(),
      log: createMemoryLog(),
      deadlineMs: 3_000,
    })
    try {
      // The very first calls to a new emulator may take as long as that.
      await eventually('a first answer', answers(store, undefined))
      const first = await store.commit(CLUSTER, commitOf(put('a', null)))
      const { cursor } = await store.revisions(CLUSTER, undefined)
      const pokes: (Version | undefined)[] = []
      const end = await store.follow(CLUSTER, (version) => pokes.push(version))

      await freeze(pid)
      const started = Date.now()
      const attempts = await Promise.allSettled([
        store.commit(CLUSTER, commitOf(put('b', null))),
        store.commit(CLUSTER, commitOf(put('a', first.version))),
        store.get(CLUSTER, keyOfMap('a')),
        store.revisions(CLUSTER, cursor),
        store.revisions(CLUSTER, undefined),
        store.readCheckpoint(CLUSTER),
        store.writeCheckpoint(CLUSTER, { version: first.version, cursor, objects: [] }),
        store.changedSince(0),
        store.trim(CLUSTER, first.version, 10),
        store.follow('two', () => undefined),
      ])
      expect(Date.now() - started).toBeLessThan(10_000)
      for (const attempt of attempts) {
        expect(attempt).toMatchObject({
          status: 'rejected',
          reason: { reason: 'ServiceUnavailable', details: { retryAfterSeconds: 1 } },
        })
      }
      process.kill(pid, 'SIGCONT')

      // Whatever of the frozen attempts came true, the log has it once, and in order.
      await eventually('an answer after the thaw', answers(store, cursor))
      const last = await store.commit(CLUSTER, commitOf(put('c', null)))
      await eventually('a poke after the thaw', () =>
        pokes.some((poke) => poke === undefined || poke >= last.version),
      )
      const chained = await store.revisions(CLUSTER, cursor)
      const whole = await store.revisions(CLUSTER, undefined)
      expect([first, ...chained.revisions]).toEqual(whole.revisions)
      expect(whole.revisions.at(-1)).toEqual(last)
      await end()
    } finally {
      process.kill(pid, 'SIGCONT')
      await connection.close().catch(() => undefined)
      await emulators.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

/** True once the store has answered a question; asks again whenever it has refused. */
function answers(store: CountedStore, cursor: string | undefined): () => boolean {
  let state: 'idle' | 'asking' | 'answered' = 'idle'
  return () => {
    if (state === 'idle') {
      state = 'asking'
      store.revisions(CLUSTER, cursor).then(
        () => (state = 'answered'),
        () => (state = 'idle'),
      )
    }
    return state === 'answered'
  }
}
