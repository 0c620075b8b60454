// Thousands of bad days for the control plane. A failing seed replays exactly:
// SEED=17 npx vitest run test/simulation

import { describe, expect, test } from 'vitest'
import { checkArrived } from './arrived.ts'
import { must } from './checks.ts'
import { Simulation } from './simulation.ts'

const { SEED } = process.env
const SEEDS = SEED ? [Number(SEED)] : Array.from({ length: 500 }, (_, index) => index + 1)
const REPEATED_SEEDS = SEEDS.filter((seed) => seed % 25 === 1 || SEED)

async function simulate(seed: number): Promise<Simulation> {
  const simulation = new Simulation(seed)
  try {
    await simulation.run()
    checkArrived(simulation.checks.view)
    must((await simulation.secondLook()) === 0, 'a second look found something to do')
    return simulation
  } catch (error) {
    throw new Error(`SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

describe('whatever fails, and when', () => {
  test(
    `${SEEDS.length} seeds: the rules hold at every revision, and people get what they asked for`,
    { timeout: 120_000 },
    async () => {
      for (const seed of SEEDS) await simulate(seed)
    },
  )

  test('the same seed makes the same history', async () => {
    for (const seed of REPEATED_SEEDS) {
      const [first, second] = [await simulate(seed), await simulate(seed)]
      expect(second.fingerprint(), `SEED=${seed}`).toBe(first.fingerprint())
    }
  })

  test('an idle hour has no commits', async () => {
    for (const seed of SEEDS.slice(0, 3)) {
      const simulation = await simulate(seed)
      expect(await simulation.idleHour(), `SEED=${seed}`).toBe(0)
    }
  })
})
