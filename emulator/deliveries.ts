// What Google does around the functions: Pub/Sub deliveries and Cloud Scheduler's minute. Each
// function hears its topic through the bus, a rejection is a nack and the message comes again.

import type { OnMessage } from '#functions/compose.ts'
import { TOPICS, type Bus, type Topic } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

interface DeliveriesOptions {
  bus: Bus
  clock: Clock
  log: Log
  reconcile: OnMessage
  cloud: OnMessage
  signals: OnMessage
  sweep(): Promise<void>
  sweepIntervalMs?: number
}

const SWEEP_INTERVAL_MS = 60_000

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
  const abort = new AbortController()
  const ticking = tick(options, abort.signal, clock)
  return async () => {
    abort.abort()
    await Promise.all(ends.map((end) => end()))
    await ticking
  }
}

async function tick(options: DeliveriesOptions, signal: AbortSignal, clock: Clock): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(options.sweepIntervalMs ?? SWEEP_INTERVAL_MS, signal)
    if (signal.aborted) return
    try {
      await options.sweep()
    } catch (error) {
      options.log.warn('the sweep did not succeed; the next minute tries again', { error })
    }
  }
}
