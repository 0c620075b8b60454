// The Timers port: "look at this cluster again at that time". Cloud Tasks in the cloud, in-process
// on a laptop; the sweep is the safety net, so a lost timer costs a minute.
// Drivers: functions/adapters/cloud-tasks-timers.ts, emulator/adapters/process-timers.ts.
// Contract: test/contract/timers.ts.

import type { TOPICS } from './bus.ts'

/** Who is woken: the reconcile function, the cloud function, or the deploy function. */
export type WakeTopic = typeof TOPICS.changes | typeof TOPICS.cloud | typeof TOPICS.deploys

export interface Timers {
  /**
   * Wakes the cluster at `atMs`: publishes its message on `topic` (absent: `changes`). Asking again
   * for the same cluster, time and topic is one wake-up; an earlier time adds one. A time in the
   * past fires at once.
   */
  wake(cluster: string, atMs: number, topic?: WakeTopic): Promise<void>
  /** Forgets what is pending; for shutdown. */
  close(): Promise<void>
}
