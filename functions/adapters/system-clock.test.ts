import { setTimeout as sleep } from 'node:timers/promises'
import { clockContract } from '#test/contract/clock.ts'
import { createSystemClock } from './system-clock.ts'

clockContract('the system clock', () => ({
  clock: createSystemClock(),
  pass: (ms) => sleep(ms),
}))
