// What was saved with the addresses of one slot is good in another.

import { expect, test } from 'vitest'
import { addressAt, loopbackPlan, offsetIn, readdress } from './address-plan.ts'
import { planOf } from './netns/slots.ts'

test('ranges are counted over their octets', () => {
  expect(addressAt('10.128.0.0', 258)).toBe('10.128.1.2')
  expect(offsetIn(planOf(1), 'vms', '10.128.16.2')).toBe(2)
  expect(offsetIn(planOf(1), 'vms', '10.128.0.2')).toBeUndefined()
})

test('no two slots share a range', () => {
  const plans = Array.from({ length: 16 }, (_, slot) => planOf(slot))
  for (const [index, plan] of plans.entries()) {
    for (const other of plans.slice(index + 1)) {
      for (const kind of ['vms', 'pods', 'external', 'balancers', 'host'] as const) {
        expect(offsetIn(plan, kind, other[kind])).toBeUndefined()
      }
    }
  }
})

test('every address moves to the same place of the other plan, and nothing else changes', () => {
  const saved = {
    networkIP: '10.128.0.5',
    range: '10.4.5.0/24',
    natIP: '127.0.2.5',
    rule: '127.0.1.1',
    api: 'https://127.0.0.1:16443',
    other: '8.8.8.8',
    version: 'v1.33.1',
  }
  const moved = readdress(saved, loopbackPlan('127.0.1'), planOf(2))
  expect(moved).toEqual({
    networkIP: '10.128.32.5',
    range: '10.12.5.0/24',
    natIP: '198.19.8.5',
    rule: '198.18.2.1',
    api: 'https://10.127.2.1:16443',
    other: '8.8.8.8',
    version: 'v1.33.1',
  })
  expect(readdress(moved, planOf(2), loopbackPlan('127.0.1'))).toEqual(saved)
})
