import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { storeContract } from './store.ts'

// eslint-disable-next-line typescript/require-await
storeContract('the memory store', async () => {
  const clock = createManualClock()
  const data = createMemoryData()
  return {
    store: createMemoryStore({ clock, data }),
    other: createMemoryStore({ clock, data }),
    outlastOverlap: () => clock.advance(16_000),
    close: () => Promise.resolve(),
  }
})
