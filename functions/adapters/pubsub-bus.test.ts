import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators } from '#emulator/google/emulators.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { busContract, eventually } from '#test/contract/bus.ts'
import { freeze } from '#test/support/freeze.ts'
import { createPubsubBus } from './pubsub-bus.ts'
import { createSystemClock } from './system-clock.ts'

const host = process.env['PUBSUB_EMULATOR_HOST']

function open(at: string | undefined, deadlineMs = 10_000) {
  return createPubsubBus({
    projectId: `p-${randomUUID().slice(0, 8)}`,
    host: at,
    create: true,
    clock: createSystemClock(),
    log: createMemoryLog(),
    deadlineMs,
  })
}

describe.skipIf(!host)('on the official emulator', () => {
  busContract('the Pub/Sub bus', async () => {
    const bus = open(host)
    return { bus, close: () => bus.close() }
  })

  test('ping answers', async () => {
    const bus = open(host)
    await bus.ping()
    await bus.close()
  })

  test('a frozen emulator hangs nobody, and afterwards messages flow again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'wherry-frozen-'))
    const { PUBSUB_EMULATOR_HOST: _, ...env } = process.env
    const log = createMemoryLog()
    const emulators = await startGoogleEmulators({ dir, log, env, only: ['pubsub'] })
    onTestFinished(async () => {
      await emulators.stop()
      rmSync(dir, { recursive: true })
    })
    const pid = emulators.pubsub?.pid ?? 0
    const bus = open(emulators.pubsub?.host, 1000)
    const seen = new Set<string>()
    await bus.subscribe(TOPICS.changes, 'sub-a', async ({ attributes }) => {
      seen.add(attributes['id'] ?? '')
    })
    const wake = (id: string) =>
      bus.publish(TOPICS.changes, { attributes: { id }, data: '{}', orderingKey: 'dev' })
    await wake('before')
    await eventually('the first message', () => seen.has('before'))

    await freeze(pid)
    const frozenAt = Date.now()
    await expect(wake('frozen')).rejects.toMatchObject({ reason: 'ServiceUnavailable', code: 503 })
    await expect(bus.ping()).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
    expect(Date.now() - frozenAt).toBeLessThan(5000)
    // The freeze that the design speaks of; nothing is waited for, time itself is the condition.
    await sleep(10_000 - (Date.now() - frozenAt))
    process.kill(pid, 'SIGCONT')

    await eventually('a publish succeeds again', () => {
      void wake('after').catch(() => undefined)
      return seen.has('after')
    })
    await bus.close()
  })
})

test('nobody there at all: publish and subscribe fail in time', async () => {
  const bus = open('127.0.0.1:1', 500)
  const refusal = { reason: 'ServiceUnavailable', details: { retryAfterSeconds: 1 } }
  await expect(bus.publish(TOPICS.changes, { attributes: {}, data: '{}' })).rejects.toMatchObject(
    refusal,
  )
  await expect(bus.subscribe(TOPICS.changes, 'sub-a', async () => undefined)).rejects.toMatchObject(
    refusal,
  )
  expect(bus.published()).toBe(0)
  await bus.close()
})
