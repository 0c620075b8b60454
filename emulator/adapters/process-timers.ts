// Timers in this process, as Cloud Tasks in the cloud: at its time each publishes the cluster's
// wake-up. What is pending is gone with the process; the sweep asks again.

import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Timers, WakeTopic } from '#shared/ports/timers.ts'

interface ProcessTimersOptions {
  clock: Clock
  bus: Bus
}

export function createProcessTimers({ clock, bus }: ProcessTimersOptions): Timers {
  const pending = new Set<string>()
  const abort = new AbortController()

  async function fire(id: string, cluster: string, atMs: number, topic: WakeTopic): Promise<void> {
    await clock.sleep(Math.max(0, atMs - clock.now()), abort.signal)
    pending.delete(id)
    if (abort.signal.aborted) return
    await bus.publish(topic, { attributes: { cluster }, data: '{}', orderingKey: cluster })
  }

  return {
    wake(cluster, atMs, topic = TOPICS.changes) {
      const id = `${topic} ${cluster} ${atMs}`
      if (!pending.has(id)) {
        pending.add(id)
        // A publish that fails is a lost timer: the sweep is the safety net.
        void fire(id, cluster, atMs, topic).catch(() => undefined)
      }
      return Promise.resolve()
    },
    close() {
      abort.abort()
      pending.clear()
      return Promise.resolve()
    },
  }
}
