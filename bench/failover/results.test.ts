// From request records to numbers.

import { describe, expect, test } from 'vitest'
import type { RequestRecord } from './load.ts'
import { measurementsOf, runOf, summary, type Run } from './results.ts'
import type { Outcome } from './scenarios.ts'

const CAUSED_AT = 100_000
const OUTCOME: Outcome = {
  causedAt: CAUSED_AT,
  detectedAt: CAUSED_AT + 3000,
  readyAt: CAUSED_AT + 4000,
  replacements: ['new'],
}

/** Sent and ended in milliseconds from the fault. */
function record(sent: number, ended: number, more: Partial<RequestRecord> = {}): RequestRecord {
  return { sentAt: CAUSED_AT + sent, endedAt: CAUSED_AT + ended, servedBy: 'old', ...more }
}

const lost = { failure: 'no answer' }
const first = record(4500, 4510, { servedBy: 'new' })

describe('a run', () => {
  test.each([
    { of: 'no failure', records: [], outOfRotation: 0, lost: 0 },
    {
      of: 'one under way at the fault',
      records: [record(-50, 20, lost)],
      outOfRotation: 0,
      lost: 1,
    },
    {
      of: 'one that failed before the fault',
      records: [record(-500, -10, lost)],
      outOfRotation: 0,
      lost: 0,
    },
    {
      of: 'several: when the last was sent counts, not when it ended',
      records: [record(100, 2100, lost), record(3500, 5500, lost), record(3600, 3610)],
      outOfRotation: 3.5,
      lost: 2,
    },
  ])('with $of', ({ records, outOfRotation, lost: count }) => {
    const run = runOf('vm-hang', OUTCOME, [...records, first])
    expect(run).toMatchObject({ detected: 3, ready: 4, replaced: 4.51, outOfRotation, lost: count })
  })

  test('is replaced when it is Ready, however early somebody was answered', () => {
    const early = record(3200, 3210, { servedBy: 'new' })
    expect(runOf('vm-hang', OUTCOME, [early, first]).replaced).toBe(4)
  })

  test('whose replacement never answered is no run', () => {
    expect(() => runOf('vm-hang', OUTCOME, [record(5000, 5010)])).toThrow('new never answered')
  })
})

describe('the sum of runs', () => {
  const runs = [4, 1, 3, 2].map((value): Run => ({
    scenario: 'rollout',
    outOfRotation: 0,
    ready: value,
    replaced: value,
    lost: value - 1,
    requests: 100,
    failures: [],
  }))

  test('is median and worst', () => {
    expect(summary(runs, 'rollout', 'replaced')).toEqual({ median: 2.5, worst: 4, runs: 4 })
    expect(summary(runs.slice(1), 'rollout', 'replaced')).toEqual({ median: 2, worst: 3, runs: 3 })
    expect(summary(runs, 'rollout', 'detected')).toBeUndefined()
    expect(summary(runs, 'vm-kill', 'replaced')).toBeUndefined()
  })

  test('has the names that others look for', () => {
    const found = new Map(
      measurementsOf(runs).map(({ name, unit, value }) => [name, { unit, value }]),
    )
    expect(found.get('rollout.lost')).toEqual({ unit: 'requests', value: 1.5 })
    expect(found.get('rollout.replaced.median')).toEqual({ unit: 's', value: 2.5 })
    expect(found.get('rollout.out-of-rotation.worst')).toEqual({ unit: 's', value: 0 })
    expect(found.has('rollout.detected.median')).toBe(false)
  })
})
