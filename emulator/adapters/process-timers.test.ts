import { expect, test } from 'vitest'
import { TOPICS } from '#shared/ports/bus.ts'
import { timersContract } from '#test/contract/timers.ts'
import { createManualClock } from './manual-clock.ts'
import { createMemoryBus } from './memory-bus.ts'
import { createProcessTimers } from './process-timers.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { WakeUp } from '#test/contract/timers.ts'

async function open(clock: Clock) {
  const bus = createMemoryBus()
  const wakeUps: WakeUp[] = []
  for (const topic of [TOPICS.changes, TOPICS.cloud]) {
    await bus.subscribe(topic, topic, async (message) => void wakeUps.push({ topic, message }))
  }
  const timers = createProcessTimers({ clock, bus })
  return { bus, timers, wakeUps, close: () => timers.close() }
}

timersContract('timers in this process', open)

test('what is pending is forgotten at the end', async () => {
  const clock = createManualClock()
  const { bus, timers } = await open(clock)
  await timers.wake('dev', clock.now() + 1000)
  await timers.close()
  await clock.advance(2000)
  expect(bus.published()).toBe(0)
  expect(clock.nextWake()).toBeUndefined()
})

test('a wake-up that cannot be published is left to the sweep', async () => {
  const clock = createManualClock()
  const bus = createMemoryBus()
  const timers = createProcessTimers({
    clock,
    bus: { ...bus, publish: () => Promise.reject(new Error('away')) },
  })
  await timers.wake('dev', clock.now() + 1000)
  await clock.advance(2000)
  expect(bus.published()).toBe(0)
})
