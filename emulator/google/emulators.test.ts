import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators } from './emulators.ts'
import { findEmulatorJar, findJava } from './find-emulators.ts'
import { freeze } from '#test/support/freeze.ts'

const dir = mkdtempSync(join(tmpdir(), 'wherry-emulators-test-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const { FIRESTORE_EMULATOR_HOST: _f, PUBSUB_EMULATOR_HOST: _p, ...env } = process.env
const NOWHERE = { PATH: '/nowhere', HOME: '/nowhere' }
const isInstalled =
  'jar' in (await findEmulatorJar('pubsub', env)) && 'java' in (await findJava(env))

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${what}`)
    await sleep(20)
  }
}

test('an emulator that runs already is used and left alone', async () => {
  const log = createMemoryLog()
  const running = { FIRESTORE_EMULATOR_HOST: 'localhost:1', PUBSUB_EMULATOR_HOST: 'localhost:2' }
  const emulators = await startGoogleEmulators({ dir, log, env: running })
  expect(emulators.firestore).toMatchObject({ host: 'localhost:1', pid: undefined })
  expect(emulators.pubsub).toMatchObject({ host: 'localhost:2', pid: undefined })
  expect(emulators.missing).toEqual([])
  await emulators.stop()
})

test('a machine without Java is told what it lacks', async () => {
  const emulators = await startGoogleEmulators({ dir, log: createMemoryLog(), env: NOWHERE })
  expect(emulators.firestore).toBeUndefined()
  expect(emulators.pubsub).toBeUndefined()
  expect(emulators.missing).toHaveLength(2)
  for (const why of emulators.missing) expect(why).toMatch(/not installed/)
})

test('a wrong path in FIRESTORE_EMULATOR_BINARY_PATH is named', async () => {
  const found = await findEmulatorJar('firestore', {
    ...NOWHERE,
    FIRESTORE_EMULATOR_BINARY_PATH: '/nowhere/x.jar',
  })
  expect(found).toEqual({
    missing: 'FIRESTORE_EMULATOR_BINARY_PATH is /nowhere/x.jar, which is not an emulator',
  })
})

test.skipIf(!isInstalled)('stop ends the JVM, even a frozen one', async () => {
  const emulators = await startGoogleEmulators({
    dir,
    log: createMemoryLog(),
    env,
    only: ['pubsub'],
  })
  const pid = emulators.pubsub?.pid ?? 0
  expect(isAlive(pid)).toBe(true)
  await freeze(pid)
  await emulators.stop()
  expect(isAlive(pid)).toBe(false)
})

test.skipIf(!isInstalled)('no JVM outlives a parent that was killed', async () => {
  const script = `
    import { startGoogleEmulators } from ${JSON.stringify(join(import.meta.dirname, 'emulators.ts'))}
    const log = { info() {}, warn() {}, error() {} }
    const { pubsub } = await startGoogleEmulators({
      dir: ${JSON.stringify(dir)}, log, env: process.env, only: ['pubsub'] })
    console.log(pubsub.pid)
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { env })
  let output = ''
  parent.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await until('the child says its pid', () => /^\d+\n/.test(output))
  const pid = Number(output)
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await until('the JVM is gone', () => !isAlive(pid))
})
