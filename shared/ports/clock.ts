// The Clock port: the only place where time comes from. Drivers: functions/adapters/system-clock.ts,
// emulator/adapters/manual-clock.ts (tests move it by hand). Contract: test/contract/clock.ts.

export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number
  /** Resolves `ms` later, never before, or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
