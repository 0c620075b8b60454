// From request records to the numbers of the page.

import { describe, expect, test } from 'vitest'
import type { RequestRecord } from '../bench/failover/load.ts'
import { outagesOf, resultOf } from './results.ts'
import type { Moment } from './story.ts'

/** Sent each 100 ms; `x` failed, `.` was answered after 20 ms. */
function recordsOf(text: string): RequestRecord[] {
  return text.split('').map((sign, index) => ({
    sentAt: index * 100,
    endedAt: index * 100 + 20,
    ...(sign === 'x' ? { failure: 'HTTP 502' } : { servedBy: 'frontend' }),
  }))
}

describe('an outage', () => {
  test.each([
    { text: '....', outages: [] },
    { text: '..xxx..', outages: [{ from: 200, to: 500 }] },
    {
      text: '.x.xx.',
      outages: [
        { from: 100, to: 200 },
        { from: 300, to: 500 },
      ],
    },
    // Nobody was answered any more: until the last one gave up.
    { text: '.xx', outages: [{ from: 100, to: 220 }] },
    { text: 'xx', outages: [{ from: 0, to: 120 }] },
  ])('in $text', ({ text, outages }) => {
    expect(outagesOf(recordsOf(text))).toEqual(outages)
  })

  test('ends when the next one that is answered is sent, however late others give up', () => {
    const [first, second] = recordsOf('x.')
    const late = { ...first, sentAt: 0, endedAt: 9000, failure: 'no answer' }
    expect(outagesOf([late, ...(second ? [second] : [])])).toEqual([{ from: 0, to: 100 }])
  })
})

describe('an act', () => {
  const fault = (at: number, breaks: 'container' | 'vm', until = at): Moment => ({
    at,
    who: 'fault',
    what: 'it breaks',
    breaks,
    until,
  })

  test('adds up', () => {
    const records = recordsOf('..xxx..x.')
    const result = resultOf({ moments: [fault(200, 'container')], records })
    expect(result).toMatchObject({
      requests: 9,
      answered: 5,
      failed: 4,
      downtimeMs: 400,
      slowestMs: 20,
    })
  })

  test('counts for each fault what ended after it, until the next one', () => {
    const moments = [fault(150, 'container'), fault(650, 'vm', 750)]
    const { faults } = resultOf({ moments, records: recordsOf('..x....xx.') })
    expect(faults).toMatchObject([
      { kind: 'container', requests: 5, failed: 1, underWay: 0 },
      { kind: 'vm', requests: 3, failed: 2, underWay: 1 },
    ])
  })

  test('without a failure was never down', () => {
    const result = resultOf({ moments: [], records: recordsOf('...') })
    expect(result).toMatchObject({ failed: 0, downtimeMs: 0, outages: [], faults: [] })
  })
})
