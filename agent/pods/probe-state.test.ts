import { describe, expect, test } from 'vitest'
import { firstState, observe, probeTimes } from './probe-state.ts'
import type { ProbeKind } from './probe-state.ts'

/** The verdict after each result: `+` good, `-` bad, `?` none yet. */
function verdicts(kind: ProbeKind, results: string, success: number, failure: number): string {
  const times = probeTimes({ successThreshold: success, failureThreshold: failure })
  let state = firstState(kind)
  return results
    .split('')
    .map((result) => {
      state = observe(state, times, result === '+')
      return state.isGood === undefined ? '?' : state.isGood ? '+' : '-'
    })
    .join('')
}

describe('probe thresholds', () => {
  test.each([
    ['readiness', '+', 1, 3, '+'],
    ['readiness', '-++', 2, 3, '--+'],
    ['readiness', '+--+---', 1, 3, '++++++-'],
    ['liveness', '--+---', 1, 3, '+++++-'],
    ['liveness', '-', 1, 1, '-'],
    ['startup', '--', 1, 3, '??'],
    ['startup', '---', 1, 3, '??-'],
    ['startup', '--+', 1, 3, '??+'],
  ] as const)(
    '%s %s with thresholds %i and %i: %s',
    (kind, results, success, failure, expected) => {
      expect(verdicts(kind, results, success, failure)).toBe(expected)
    },
  )

  test("defaults are Kubernetes'", () => {
    expect(probeTimes({})).toEqual({
      initialDelayMs: 0,
      periodMs: 10_000,
      timeoutMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
    })
  })
})
