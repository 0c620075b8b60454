// What things cost on Google Cloud, in what it bills: document reads, writes and deletes of Firestore,
// messages of Pub/Sub, calls of Cloud Functions.

import type { StoreUsage } from '#shared/ports/store.ts'

export interface Cost extends StoreUsage {
  /** Published; what is delivered is not counted a second time. */
  messages: number
  /** Of functions: requests, pushed messages, ticks of the scheduler. */
  calls: number
}

export function difference(after: Cost, before: Cost): Cost {
  return {
    reads: after.reads - before.reads,
    writes: after.writes - before.writes,
    deletes: after.deletes - before.deletes,
    messages: after.messages - before.messages,
    calls: after.calls - before.calls,
  }
}
