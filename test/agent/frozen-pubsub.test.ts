// Pub/Sub stands still for ten seconds, and later forgets everything: wake-ups come again after both.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators, type GoogleEmulators } from '#emulator/google/emulators.ts'
import { createWorld, eventually, podOf, type World } from './world.ts'
import { freeze } from '../support/freeze.ts'

const IDLE = `setInterval(() => undefined, 1000)`
const FROZEN_MS = 10_000

describe('an agent whose Pub/Sub fails', () => {
  let emulators: GoogleEmulators
  let world: World | undefined
  const dir = mkdtempSync(join(tmpdir(), 'wherry-frozen-'))

  beforeAll(async () => {
    const { PUBSUB_EMULATOR_HOST: _, ...env } = process.env
    emulators = await startGoogleEmulators({ dir, log: createMemoryLog(), env, only: ['pubsub'] })
    if (!emulators.pubsub) return
    world = await createWorld({ pubsubHost: emulators.pubsub.host })
    world.image('idle', IDLE)
    world.startAgent()
    await eventually('a Node', () => world?.reports.some(({ node }) => node))
  })
  afterAll(async () => {
    await world?.close()
    await emulators.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  const run = async (name: string): Promise<void> => {
    const containers = [
      { name: 'idle', image: 'test/idle', imagePullPolicy: 'IfNotPresent' as const },
    ]
    await world?.want(({ pods }) => void pods.push(podOf(name, { containers })))
  }
  const isRunning = (name: string): boolean => world?.status(name)?.phase === 'Running'

  test('frozen for ten seconds: what was published meanwhile arrives', async (context) => {
    const pid = emulators.pubsub?.pid
    if (!pid) {
      context.skip()
      return
    }
    await run('before')
    await eventually('before', () => isRunning('before'))
    await freeze(pid)
    const during = run('during')
    await new Promise((resolve) => {
      setTimeout(resolve, FROZEN_MS)
    })
    expect(isRunning('during')).toBe(false)
    process.kill(pid, 'SIGCONT')
    await during
    await eventually('during', () => isRunning('during'))
    await run('after')
    await eventually('after', () => isRunning('after'))
  }, 60_000)

  test('emptied: the subscription is made again', async (context) => {
    if (!emulators.pubsub) {
      context.skip()
      return
    }
    await fetch(`http://${emulators.pubsub.host}/reset`, { method: 'POST' })
    await world?.createTopic()
    await eventually(
      'a wake-up arrives again',
      async () => {
        await run('anew')
        await new Promise((resolve) => {
          setTimeout(resolve, 300)
        })
        return isRunning('anew')
      },
      40_000,
    )
  }, 60_000)
})
