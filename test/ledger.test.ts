// What things cost on Google Cloud, as upper bounds: whoever makes something dearer has to say so here.
// The numbers that the design asks for are in the last test; `npm run bench -- ledger` prints all.

import { beforeAll, describe, expect, test } from 'vitest'
import { idleDay, ledger, type Ledger } from '../bench/ledger.ts'
import type { Cost } from './support/cost.ts'

const BOUNDS: Record<keyof Ledger, Cost> = {
  create: { reads: 25, writes: 39, deletes: 0, messages: 5, calls: 11 },
  createEcho: { reads: 26, writes: 6, deletes: 2, messages: 4, calls: 6 },
  createWithService: { reads: 47, writes: 52, deletes: 0, messages: 12, calls: 24 },
  update: { reads: 41, writes: 59, deletes: 3, messages: 13, calls: 20 },
  updateEcho: { reads: 31, writes: 6, deletes: 2, messages: 4, calls: 6 },
  idleHour: { reads: 60, writes: 0, deletes: 0, messages: 0, calls: 60 },
}

let found: Ledger

beforeAll(async () => {
  found = await ledger()
}, 60_000)

describe('nothing costs more than', () => {
  test.each(Object.entries(BOUNDS) as [keyof Ledger, Cost][])('%s', (what, bound) => {
    const over = Object.entries(found[what]).filter(
      ([unit, value]) => value > bound[unit as keyof Cost],
    )
    expect(over, JSON.stringify(found[what])).toEqual([])
  })

  test('the design allows', () => {
    for (const { reads, writes, calls } of [found.create, found.update]) {
      expect(reads).toBeLessThanOrEqual(60)
      expect(writes).toBeLessThanOrEqual(60)
      expect(calls).toBeLessThanOrEqual(20)
    }
    expect(found.idleHour.writes).toBe(0)
    expect(found.idleHour.reads).toBeLessThanOrEqual(120)
    expect(found.idleHour.calls).toBeLessThanOrEqual(60)
  })
})

test('an idle day writes nothing, and nobody says anything', async () => {
  const minutes = 24 * 60
  expect(await idleDay()).toEqual({
    all: { reads: minutes, writes: 0, deletes: 0, messages: 0, calls: minutes },
    agents: 0,
  })
}, 60_000)

test('the same is counted at every run', async () => {
  expect(await ledger()).toEqual(found)
})
