// The Timers port: "look at this cluster again at that time". Cloud Tasks in the cloud, in-process
// on a laptop; the sweep is the safety net, so a lost timer costs a minute.
// Drivers: functions/adapters/cloud-tasks-timers.ts, emulator/adapters/process-timers.ts.
// Contract: test/contract/timers.ts.

export interface Timers {
  /**
   * Wakes the cluster at `atMs` (publishes its `changes` message). Asking again for the same
   * cluster and time is one wake-up; an earlier time adds one. A time in the past fires at once.
   */
  wake(cluster: string, atMs: number): Promise<void>
  /** Forgets what is pending; for shutdown. */
  close(): Promise<void>
}
