import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createFirestoreStore } from '#functions/adapters/firestore-store.ts'
import { openFirestore } from '#functions/adapters/open-firestore.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { storeContract } from './store.ts'
import type { StoreUnderTest } from './store-fixture.ts'

const host = process.env['FIRESTORE_EMULATOR_HOST']
/** Shorter than in production, so that a test can outlast it. */
const OVERLAP_MS = 1_500

function open(emulator: string, keepsNothing: boolean): StoreUnderTest {
  const projectId = `test-${randomUUID()}`
  const make = () => {
    const connection = openFirestore({ projectId, host: emulator })
    const store = createFirestoreStore({
      connection,
      clock: createSystemClock(),
      log: createMemoryLog(),
      overlapMs: OVERLAP_MS,
      ...(keepsNothing ? { keepMs: 0 } : {}),
    })
    return { connection, store }
  }
  const [one, two] = [make(), make()]
  return {
    store: one.store,
    other: two.store,
    outlastOverlap: () => sleep(OVERLAP_MS + 100),
    async close() {
      await Promise.all([one.connection.close(), two.connection.close()])
    },
  }
}

if (host) {
  storeContract('the Firestore store', (options) =>
    Promise.resolve(open(host, options?.keepsNothing ?? false)),
  )
} else {
  describe('the Firestore store', () => {
    test.skipIf(!process.env['CI'])('needs FIRESTORE_EMULATOR_HOST: no emulator is here', () => {
      throw new Error('CI runs every test: FIRESTORE_EMULATOR_HOST is not set')
    })
  })
}
