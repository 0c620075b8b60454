// An agent whose predecessor was cut off, and did not say good-bye to Pub/Sub, hears every wake-up at once.

import { once } from 'node:events'
import { afterAll, beforeAll, test } from 'vitest'
import { createWorld, eventually, podOf, type World } from './world.ts'

const IDLE = `setInterval(() => undefined, 1000)`
/** Pub/Sub waits 10 s for whoever was given a message first. */
const HEARD_MS = 6000
const STARTS = 3
const WAKE_UPS = 5

let world: World

beforeAll(async () => {
  world = await createWorld()
  world.image('idle', IDLE)
})
afterAll(() => world?.close())

test('wake-ups come at once, however many agents were killed before', async () => {
  for (let start = 0; start < STARTS; start++) {
    const agent = world.startAgent()
    await eventually(
      `agent ${start}`,
      () => world.reports.filter(({ node }) => node).length > start,
    )
    for (let index = 0; index < WAKE_UPS; index++) {
      const name = `pod-${start}-${index}`
      const containers = [
        { name: 'idle', image: 'test/idle', imagePullPolicy: 'IfNotPresent' as const },
      ]
      await world.want(({ pods }) => void pods.push(podOf(name, { containers })))
      await eventually(name, () => world.status(name)?.phase === 'Running', HEARD_MS)
    }
    const ended = once(agent, 'exit')
    agent.kill('SIGKILL')
    await ended
    await world.want(({ pods }) => void pods.splice(0))
  }
}, 90_000)
