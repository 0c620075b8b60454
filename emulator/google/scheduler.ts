// Plays Cloud Scheduler: one job that runs at a fixed interval. A run that fails is logged, the next
// one comes at its time; a run that takes longer than the interval delays the next.

import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface SchedulerOptions {
  /** For the log. */
  name: string
  /** A function of this process, or a URL that is called by POST as Cloud Scheduler does. */
  target: string | (() => Promise<void>)
  clock: Clock
  log: Log
  /** Default: a minute, the shortest that Cloud Scheduler knows. */
  intervalMs?: number
}

const MINUTE_MS = 60_000
const DEADLINE_MS = 180_000

/** Starts it; the first run comes after one interval. Answers what ends it, after a run at work. */
export function startScheduler(options: SchedulerOptions): () => Promise<void> {
  const { name, target, clock, log, intervalMs = MINUTE_MS } = options
  const abort = new AbortController()
  const { signal } = abort
  const run = typeof target === 'string' ? () => post(target, signal) : target

  async function tick(): Promise<void> {
    for (;;) {
      await clock.sleep(intervalMs, signal)
      if (signal.aborted) return
      try {
        await run()
      } catch (error) {
        log.warn(`${name} did not succeed; the next run tries again`, { error })
      }
    }
  }

  const ticking = tick()
  return async () => {
    abort.abort()
    await ticking
  }
}

async function post(url: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'user-agent': 'Google-Cloud-Scheduler', 'content-type': 'application/octet-stream' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
}
