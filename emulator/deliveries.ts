// What Google does around the functions: Pub/Sub deliveries and Cloud Scheduler's minute. Each
// function hears its topic through the bus, a rejection is a nack and the message comes again.

import type { OnMessage } from '#functions/compose.ts'
import { TOPICS, type Bus, type Topic } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { startScheduler } from './google/scheduler.ts'

interface DeliveriesOptions {
  bus: Bus
  clock: Clock
  log: Log
  reconcile: OnMessage
  cloud: OnMessage
  signals: OnMessage
  sweep: () => Promise<void>
}

/** Starts them; answers the function that ends them. */
export async function startDeliveries(options: DeliveriesOptions): Promise<() => Promise<void>> {
  const { bus, clock, log } = options
  const deliver = (topic: Topic, name: string, handle: OnMessage): Promise<() => Promise<void>> =>
    bus.subscribe(topic, `wherry-${name}`, async (message) => {
      try {
        await handle(message)
      } catch (error) {
        log.warn(`${name} did not succeed; the message comes again`, { error })
        throw error
      }
    })
  const ends = await Promise.all([
    deliver(TOPICS.changes, 'reconcile', options.reconcile),
    deliver(TOPICS.cloud, 'cloud', options.cloud),
    deliver(TOPICS.signals, 'signals', options.signals),
  ])
  const endSweep = startScheduler({ name: 'sweep', target: options.sweep, clock, log })
  return async () => {
    await Promise.all([endSweep(), ...ends.map((end) => end())])
  }
}
