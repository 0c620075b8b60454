import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { expect, test } from 'vitest'
import { within } from './deadline.ts'

test('answers what the work answers, and leaves no sleeper behind', async () => {
  const clock = createManualClock()
  expect(await within(clock, 1_000, 'reading', Promise.resolve(5))).toBe(5)
  await expect(within(clock, 1_000, 'reading', Promise.reject(new Error('no')))).rejects.toThrow(
    'no',
  )
  expect(clock.nextWake()).toBeUndefined()
})

test('is a 503 with Retry-After when the work takes longer', async () => {
  const clock = createManualClock()
  const waiting = within(clock, 1_000, 'reading', new Promise(() => undefined))
  const refused = expect(waiting).rejects.toMatchObject({
    reason: 'ServiceUnavailable',
    message: 'reading took longer than 1000 ms; try again',
    details: { retryAfterSeconds: 1 },
  })
  await clock.advance(1_000)
  await refused
})
