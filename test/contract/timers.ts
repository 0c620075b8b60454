// What every Timers driver must do. Time is moved by hand; `wakeUps` is what has been published.

import { describe, expect, test, afterEach } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { eventually } from './bus.ts'
import type { Message, Topic } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Timers } from '#shared/ports/timers.ts'

export interface WakeUp {
  topic: Topic
  message: Message
}

export interface TimersUnderTest {
  timers: Timers
  /** What was published so far, in order. */
  wakeUps: WakeUp[]
  close: () => Promise<void>
}

const MINUTE = 60_000

/** Runs the Timers contract on a driver. */
export function timersContract(
  name: string,
  open: (clock: Clock) => Promise<TimersUnderTest>,
): void {
  describe(`${name} keeps the Timers contract`, () => {
    const closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })

    async function start() {
      const clock = createManualClock()
      const { timers, wakeUps, close } = await open(clock)
      closing.push(close)
      const clusters = (): string[] =>
        wakeUps.map(({ message }) => message.attributes['cluster'] ?? '')
      let barriers = 0
      /** Everything that was due has arrived: a wake-up asked for now has. */
      const arrived = async (): Promise<void> => {
        const barrier = `barrier-${barriers++}`
        await timers.wake(barrier, clock.now() - 1)
        await eventually('the barrier', () => clusters().includes(barrier))
      }
      const seen = (): string[] =>
        clusters()
          .filter((cluster) => !cluster.startsWith('barrier-'))
          .sort()
      return { clock, timers, wakeUps, arrived, seen }
    }

    test('it wakes the cluster at its time, not before', async () => {
      const { clock, timers, arrived, seen } = await start()
      await timers.wake('dev', clock.now() + MINUTE)
      await clock.advance(MINUTE - 1)
      await arrived()
      expect(seen()).toEqual([])
      await clock.advance(1)
      await eventually('the wake-up', () => seen().length > 0)
      await clock.advance(MINUTE)
      await arrived()
      expect(seen()).toEqual(['dev'])
    })

    test('what it publishes is the cluster’s wake-up', async () => {
      const { clock, timers, wakeUps } = await start()
      await timers.wake('dev', clock.now() + 1)
      await clock.advance(1)
      await eventually('the wake-up', () => wakeUps.length > 0)
      expect(wakeUps).toEqual([
        {
          topic: TOPICS.changes,
          message: { attributes: { cluster: 'dev' }, data: '{}', orderingKey: 'dev' },
        },
      ])
    })

    test('asking again for the same time is one wake-up', async () => {
      const { clock, timers, arrived, seen } = await start()
      const at = clock.now() + MINUTE
      await Promise.all([timers.wake('dev', at), timers.wake('dev', at)])
      await timers.wake('dev', at)
      await clock.advance(MINUTE)
      await eventually('the wake-up', () => seen().length > 0)
      await arrived()
      expect(seen()).toEqual(['dev'])
    })

    test('an earlier time adds one; other clusters are others', async () => {
      const { clock, timers, arrived, seen } = await start()
      await timers.wake('dev', clock.now() + 2 * MINUTE)
      await timers.wake('dev', clock.now() + MINUTE)
      await timers.wake('prod', clock.now() + MINUTE)
      await clock.advance(MINUTE)
      await eventually('two', () => seen().length === 2)
      expect(seen()).toEqual(['dev', 'prod'])
      await clock.advance(MINUTE)
      await eventually('three', () => seen().length === 3)
      await arrived()
      expect(seen()).toEqual(['dev', 'dev', 'prod'])
    })

    test('each topic has its own', async () => {
      const { clock, timers, wakeUps } = await start()
      const at = clock.now() + MINUTE
      await timers.wake('dev', at, TOPICS.cloud)
      await timers.wake('dev', at)
      await clock.advance(MINUTE)
      await eventually('both', () => wakeUps.length === 2)
      expect(wakeUps.map(({ topic }) => topic).sort()).toEqual([TOPICS.changes, TOPICS.cloud])
    })

    test('a time in the past fires at once', async () => {
      const { clock, timers, seen } = await start()
      await timers.wake('dev', clock.now() - 3_600_000)
      await eventually('the wake-up', () => seen().length > 0)
    })

    test('a time in another year is accepted and does not fire now', async () => {
      const { clock, timers, arrived, seen } = await start()
      await timers.wake('dev', clock.now() + 400 * 86_400_000)
      await clock.advance(MINUTE)
      await arrived()
      expect(seen()).toEqual([])
    })
  })
}
