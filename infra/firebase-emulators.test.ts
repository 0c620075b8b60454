import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { findEmulatorJar, findJava } from '#emulator/google/find-emulators.ts'
import { freePort } from '#emulator/google/free-port.ts'
import { prepareFirebaseEmulators } from './firebase-emulators.ts'
import { wrapperJar } from './jar.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '..')
const dir = mkdtempSync(join(tmpdir(), 'wherry-firebase-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const { FIRESTORE_EMULATOR_HOST: _f, PUBSUB_EMULATOR_HOST: _p, ...env } = process.env
const isInstalled =
  'java' in (await findJava(env)) &&
  'jar' in (await findEmulatorJar('firestore', env)) &&
  'jar' in (await findEmulatorJar('pubsub', env))

test('a manifest’s lines are folded as Java reads them', () => {
  const path = `/${'long/'.repeat(40)}emulator of mine.jar`
  const text = wrapperJar(path, 'a.B').toString('latin1')
  const manifest = /Manifest-Version[^]*a\.B\r\n/.exec(text)?.[0] ?? ''
  for (const line of manifest.split('\r\n')) expect(line.length).toBeLessThanOrEqual(70)
  expect(manifest.replaceAll('\r\n ', '')).toBe(
    `Manifest-Version: 1.0\r\nClass-Path: file://${path.replaceAll(' ', '%20')}\r\nMain-Class: a.B\r\n`,
  )
})

test('what is not on this machine is said', async () => {
  const found = await prepareFirebaseEmulators(join(dir, 'none'), {
    PATH: '/nowhere',
    FIRESTORE_EMULATOR_BINARY_PATH: '/nowhere/a.jar',
    PUBSUB_EMULATOR_BINARY_PATH: '/nowhere/b.jar',
  })
  expect(found.missing).toHaveLength(3)
  expect(Object.keys(found.env)).toEqual(['PATH'])
})

/** The repository's firebase.json, with ports that are free here. */
async function configuration(): Promise<string> {
  const config = JSON.parse(readFileSync(join(ROOT, 'firebase.json'), 'utf8'))
  for (const name of ['firestore', 'pubsub', 'hub', 'logging']) {
    config.emulators[name].port = await freePort()
  }
  config.emulators.firestore.websocketPort = await freePort()
  for (const file of ['firestore.rules', 'firestore.indexes.json', '.firebaserc']) {
    copyFileSync(join(ROOT, file), join(dir, file))
  }
  writeFileSync(join(dir, 'firebase.json'), JSON.stringify(config))
  return join(dir, 'firebase.json')
}

const CLIENTS = `
import { Firestore } from '@google-cloud/firestore'
import { PubSub } from '@google-cloud/pubsub'
const projectId = process.env.GCLOUD_PROJECT
const document = new Firestore({ projectId }).doc('clusters/dev')
await document.create({ text: 'written' })
const topic = new PubSub({ projectId }).topic('wherry-changes')
await topic.create()
const id = await topic.publishMessage({ data: Buffer.from('{}') })
console.log('RESULT ' + JSON.stringify({ projectId, ...(await document.get()).data(), id }))
process.exit(0)`

test.skipIf(!isInstalled)(
  'firebase emulators:exec with the repository’s firebase.json: a write and a publish',
  { timeout: 90_000 },
  async () => {
    const prepared = await prepareFirebaseEmulators(join(dir, 'emulators'), env)
    expect(prepared.missing).toEqual([])
    // Inside the repository, where the client libraries are found.
    const command = `cd "${ROOT}" && "${process.execPath}" --input-type=module -e '${CLIENTS.replaceAll("'", '"')}'`
    const { stdout } = await run(
      process.execPath,
      [
        join(ROOT, 'node_modules', 'firebase-tools', 'lib', 'bin', 'firebase.js'),
        'emulators:exec',
        '--only=firestore,pubsub',
        `--config=${await configuration()}`,
        command,
      ],
      {
        cwd: dir,
        timeout: 80_000,
        env: { ...env, ...prepared.env, HOME: dir, METADATA_SERVER_DETECTION: 'none' },
      },
    ).catch((error: { stdout: string; message: string }) => {
      throw new Error(`${error.message}\n${error.stdout}`)
    })
    const result = /^RESULT (.*)$/m.exec(stdout)?.[1]
    expect(JSON.parse(result ?? 'null')).toEqual({
      projectId: 'demo-wherry',
      text: 'written',
      id: expect.stringMatching(/^\d+$/),
    })
  },
)
