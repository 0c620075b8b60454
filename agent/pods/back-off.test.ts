import { describe, expect, test } from 'vitest'
import { goDuration, NO_BACK_OFF, nextTryAt, raise } from './back-off.ts'

describe('back-off', () => {
  test('the first try is at once, then 10 s, doubling, at most 5 min', () => {
    let backOff = NO_BACK_OFF
    let now = 1_000_000
    const waits: number[] = []
    for (let crash = 0; crash < 8; crash++) {
      const at = nextTryAt(backOff, now)
      waits.push((at - now) / 1000)
      backOff = raise(backOff, now, at)
      now = at + 1000
    }
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 300, 300])
  })

  test('ten minutes without a failure forget it', () => {
    const raised = raise({ ms: 160_000, raisedAt: 0 }, 1000, 2000)
    expect(raised.ms).toBe(300_000)
    expect(nextTryAt(raised, 2000 + 600_000)).toBe(2000 + 900_000)
    expect(nextTryAt(raised, 2000 + 600_001)).toBe(602_001)
    expect(raise(raised, 2000 + 600_001, 602_001).ms).toBe(10_000)
  })

  test.each([
    [10_000, '10s'],
    [80_000, '1m20s'],
    [300_000, '5m0s'],
  ])('goDuration(%i) is %s', (ms, text) => {
    expect(goDuration(ms)).toBe(text)
  })
})
