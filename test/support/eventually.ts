// Waiting for a condition instead of a time.

import { setTimeout as sleep } from 'node:timers/promises'

/** Repeats `check` until it does not throw; after the deadline its last error is thrown. */
export async function eventually<T>(check: () => Promise<T>, withinMs = 30_000): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(10)
    }
  }
}
