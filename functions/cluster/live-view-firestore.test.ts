// Live views on the real store: what the tests with the memory store cannot show is that pokes from
// one process make another one deliver, in the order of the log.

import { randomUUID } from 'node:crypto'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createFirestoreStore } from '#functions/adapters/firestore-store.ts'
import { openFirestore } from '#functions/adapters/open-firestore.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import type { Revision, Version } from '#shared/ports/store.ts'
import { eventually } from '#test/contract/bus.ts'
import { CLUSTER, commitOf, put } from '#test/contract/store-fixture.ts'
import { describe, expect, test } from 'vitest'
import { createLiveViews } from './create-live-views.ts'

const host = process.env['FIRESTORE_EMULATOR_HOST']

describe.skipIf(!host && !process.env['CI'])('on Firestore (FIRESTORE_EMULATOR_HOST)', () => {
  test('two processes hear of each other’s commits, each once and in order', async () => {
    if (!host) throw new Error('CI runs every test: FIRESTORE_EMULATOR_HOST is not set')
    const projectId = `test-${randomUUID()}`
    const make = () => {
      const connection = openFirestore({ projectId, host })
      const parts = { clock: createSystemClock(), log: createMemoryLog() }
      const store = createFirestoreStore({ connection, ...parts })
      return { connection, views: createLiveViews({ store, ...parts }) }
    }
    const processes = [make(), make()]
    try {
      const lives = await Promise.all(processes.map(({ views }) => views.open(CLUSTER)))
      const heard = lives.map((live) => {
        const revisions: Revision[] = []
        live.listen((news) => revisions.push(...news))
        return revisions
      })
      const committed: Version[] = []
      const write = async (process: number): Promise<void> => {
        for (let round = 0; round < 20; round++) {
          const commit = commitOf(put(`p${process}-${round}`, null))
          const revision = await lives[process]?.commit(commit)
          committed.push(revision?.version ?? '')
        }
      }
      await Promise.all([write(0), write(1)])
      await eventually('both have heard of everything', () =>
        heard.every((revisions) => revisions.length >= committed.length),
      )
      committed.sort()
      for (const revisions of heard) {
        expect(revisions.map((revision) => revision.version)).toEqual(committed)
      }
    } finally {
      for (const { views, connection } of processes) {
        await views.close()
        await connection.close()
      }
    }
  })
})
