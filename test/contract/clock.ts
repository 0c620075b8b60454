// What every Clock driver must do. A driver's test calls `clockContract` with how to make one and how
// to let its time pass.

import { describe, expect, test } from 'vitest'
import type { Clock } from '#shared/ports/clock.ts'

export interface ClockUnderTest {
  clock: Clock
  /** Lets `ms` of the clock's time pass. */
  pass: (ms: number) => Promise<void>
}

/** Runs the Clock contract on a driver. */
export function clockContract(name: string, make: () => ClockUnderTest): void {
  describe(`${name} keeps the Clock contract`, () => {
    test('time is milliseconds since 1970 and does not run backwards', async () => {
      const { clock, pass } = make()
      const before = clock.now()
      expect(before).toBeGreaterThan(Date.UTC(2020, 0))
      expect(before).toBeLessThan(Date.UTC(2100, 0))
      await pass(20)
      expect(clock.now()).toBeGreaterThanOrEqual(before + 19)
    })

    test('a sleeper wakes when its time has come, not before', async () => {
      const { clock, pass } = make()
      const start = clock.now()
      let wokeAt: number | undefined
      const sleeper = clock.sleep(60).then(() => (wokeAt = clock.now()))
      await pass(5)
      expect(wokeAt).toBeUndefined()
      await pass(60)
      await sleeper
      // Not even a millisecond before: who compares with the clock would have slept for nothing.
      expect((wokeAt ?? 0) - start).toBeGreaterThanOrEqual(60)
    })

    test('many short sleeps: each finds its time reached', async () => {
      const { clock, pass } = make()
      const sleeps = Array.from({ length: 50 }, async (_, index) => {
        const until = clock.now() + index
        await clock.sleep(index)
        return clock.now() - until
      })
      await pass(60)
      expect(Math.min(...(await Promise.all(sleeps)))).toBeGreaterThanOrEqual(0)
    })

    test('sleepers wake in the order of their times', async () => {
      const { clock, pass } = make()
      const order: string[] = []
      const all = Promise.all([
        clock.sleep(80).then(() => order.push('late')),
        clock.sleep(10).then(() => order.push('early')),
        clock.sleep(40).then(() => order.push('middle')),
      ])
      await pass(100)
      await all
      expect(order).toEqual(['early', 'middle', 'late'])
    })

    test('no time at all is no sleep', async () => {
      const { clock } = make()
      await clock.sleep(0)
      await clock.sleep(-5)
    })

    test('an abort wakes the sleeper at once, without an error', async () => {
      const { clock } = make()
      const abort = new AbortController()
      const before = clock.now()
      const sleeper = clock.sleep(3_600_000, abort.signal)
      abort.abort()
      await sleeper
      await clock.sleep(3_600_000, abort.signal)
      expect(clock.now() - before).toBeLessThan(60_000)
    })

    test('a sleep of years does not overflow into none', async () => {
      const { clock, pass } = make()
      const abort = new AbortController()
      let isAwake = false
      const sleeper = clock.sleep(1e12, abort.signal).then(() => (isAwake = true))
      await pass(20)
      expect(isAwake).toBe(false)
      abort.abort()
      await sleeper
    })
  })
}
