import { expect, test } from 'vitest'
import { clockContract } from '#test/contract/clock.ts'
import { createManualClock } from './manual-clock.ts'

clockContract('the manual clock', () => {
  const clock = createManualClock()
  return { clock, pass: (ms) => clock.advance(ms) }
})

test('it stands still by itself and says when the next sleeper is due', async () => {
  const clock = createManualClock(1_000)
  expect(clock.nextWake()).toBeUndefined()
  const sleeper = clock.sleep(50)
  expect(clock.nextWake()).toBe(1_050)
  await clock.advanceTo(1_050)
  await sleeper
  expect(clock.nextWake()).toBeUndefined()
  expect(clock.now()).toBe(1_050)
  await clock.advanceTo(10)
  expect(clock.now()).toBe(1_050)
})

test('who goes to sleep while time passes is woken on the way, at its own time', async () => {
  const clock = createManualClock(0)
  const seen: number[] = []
  const loop = async (): Promise<void> => {
    while (clock.now() < 100) {
      await clock.sleep(30)
      seen.push(clock.now())
    }
  }
  const running = loop()
  await clock.advance(1000)
  await running
  expect(seen).toEqual([30, 60, 90, 120])
  expect(clock.now()).toBe(1000)
})
