// A stranger's machine: no Java, no gcloud, an empty home. `npm start` comes up all the same, says what
// is missing, keeps what it was given, and shares the machine with others.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators, type GoogleEmulators } from '#emulator/google/emulators.ts'
import { createFirestoreStore } from '#functions/adapters/firestore-store.ts'
import { openFirestore } from '#functions/adapters/open-firestore.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { FLEET } from '#shared/api/cluster.ts'
import { startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Where the first cluster's API and the GKE and Compute APIs are, when nobody else is there. */
const PREFERRED = { api: 16_443, gcloud: 18_085 }

const scratch = mkdtempSync(join(tmpdir(), 'wherry-bare-'))
const home = join(scratch, 'home')
const env = bareEnvironment()
const blockers: Server[] = []
let wherry: LocalWherry

/** Nothing but a shell and the programs that the examples' containers are made of. */
function bareEnvironment(): Record<string, string> {
  const programs = join(scratch, 'bin')
  const person = join(scratch, 'person')
  for (const dir of [programs, person]) mkdirSync(dir)
  for (const name of ['bash', 'sh', 'ps', 'which']) {
    const found = execFileSync('which', [name], { encoding: 'utf8' }).trim()
    symlinkSync(found, join(programs, name))
  }
  symlinkSync(process.execPath, join(programs, 'node'))
  const emptied = ['JAVA_HOME', 'CLOUDSDK_ROOT_DIR', 'FIRESTORE_EMULATOR_BINARY_PATH']
  return {
    PATH: programs,
    HOME: person,
    ...Object.fromEntries(emptied.map((name) => [name, ''])),
  }
}

/** Takes a port, unless somebody has it already. */
function occupy(port: number): Promise<void> {
  const server = createServer()
  blockers.push(server)
  return new Promise((resolve) => {
    server.once('error', () => resolve())
    server.listen({ port, host: '127.0.0.1' }, resolve)
  })
}

const answers = (): Promise<boolean> =>
  fetch(`${wherry.ready.app}/api/whoami`, { signal: AbortSignal.timeout(3000) }).then(
    (response) => response.ok,
    () => false,
  )

/** `npm start` in the same folder, to its end. */
function startAgain(): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['emulator/main.ts'], {
      cwd: ROOT,
      env: { ...env, WHERRY_HOME: home },
      timeout: 30_000,
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('close', (code) => resolve({ code, output }))
  })
}

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('without Java and gcloud', () => {
  beforeAll(async () => {
    for (const port of Object.values(PREFERRED)) await occupy(port)
    wherry = await startLocalWherry({ home, env })
  }, 120_000)
  afterAll(async () => {
    for (const server of blockers) server.close()
    await wherry?.stop()
  }, 60_000)

  test('it comes up, says what it runs on and what is missing, and the app answers', async () => {
    expect(wherry.output()).toContain('Runs on    memory store, own Pub/Sub server')
    expect(wherry.output()).toMatch(/Missing {4}(Java|the Firestore emulator) is not installed/)
    expect(wherry.ready.firestore).toBeUndefined()
    expect(wherry.ready.pubsub).toBeUndefined()
    expect(await answers()).toBe(true)
    expect(await wherry.mustKubectl('get pods -l run=web --no-headers')).toMatch(/1\/1\s+Running/)
  })

  test('ports that others have are left to them', () => {
    expect(Number(new URL(wherry.ready.api).port)).not.toBe(PREFERRED.api)
    expect(Number(new URL(wherry.ready.gcloud).port)).not.toBe(PREFERRED.gcloud)
  })

  test('a second start in the same folder is refused, naming the first', async () => {
    const { code, output } = await startAgain()
    expect(code).toBe(1)
    expect(output).toBe(
      `Wherry already runs in ${home} (process ${wherry.pid}). Stop it first, or set WHERRY_HOME to another folder.\n`,
    )
    expect(await answers()).toBe(true)
  }, 40_000)

  test('a restart keeps objects, VMs and addresses', async () => {
    await wherry.mustKubectl('create configmap remembered --from-literal=a=b')
    const nodes = await wherry.mustKubectl('get nodes -o name')
    const { api, gcloud } = wherry.ready
    expect(await wherry.stop()).toBe(0)
    wherry = await startLocalWherry({ home, env })
    expect(wherry.ready).toMatchObject({ api, gcloud })
    expect(await wherry.mustKubectl("get configmap remembered -o jsonpath='{.data.a}'")).toBe('b')
    expect(await wherry.mustKubectl('get nodes -o name')).toBe(nodes)
    expect(await answers()).toBe(true)
  }, 120_000)

  test('--reset forgets', async () => {
    const nodes = await wherry.mustKubectl('get nodes -o name')
    expect(await wherry.stop()).toBe(0)
    wherry = await startLocalWherry({ home, env, args: ['--reset', '--nodes', '1'] })
    const { code, stderr } = await wherry.kubectl('get configmap remembered')
    expect([code, stderr]).toEqual([
      1,
      'Error from server (NotFound): configmaps "remembered" not found\n',
    ])
    const now = (await wherry.mustKubectl('get nodes -o name')).trim().split('\n')
    expect(now).toHaveLength(1)
    expect(nodes).not.toContain(now[0])
    expect(await answers()).toBe(true)
  }, 120_000)
})

/** Whose logs stand in a Firestore emulator. */
async function clustersIn(host: string): Promise<string[]> {
  const connection = openFirestore({ projectId: 'demo-wherry', host })
  try {
    const clock = createSystemClock()
    const store = createFirestoreStore({ connection, clock, log: createMemoryLog() })
    const changes = await store.changedSince(clock.now() - 600_000)
    return changes.map(({ cluster }) => cluster)
  } finally {
    await connection.close()
  }
}

// The run's own emulators say that there are some; they are not shared with a whole Wherry.
const HAS_EMULATORS = process.env['FIRESTORE_EMULATOR_HOST'] && process.env['PUBSUB_EMULATOR_HOST']

describe.skipIf(!HAS_EMULATORS)('with emulators that run already', () => {
  let emulators: GoogleEmulators

  beforeAll(async () => {
    const { FIRESTORE_EMULATOR_HOST: _, PUBSUB_EMULATOR_HOST: __, ...own } = process.env
    const dir = join(scratch, 'emulators')
    emulators = await startGoogleEmulators({ dir, log: createMemoryLog(), env: own })
  }, 60_000)
  afterAll(() => emulators?.stop(), 30_000)

  test('it uses them, and leaves them running', async () => {
    const { firestore, pubsub } = emulators
    if (!firestore || !pubsub) throw new Error(emulators.missing.join('\n'))
    wherry = await startLocalWherry({
      home: join(scratch, 'borrowing'),
      args: ['--nodes', '0'],
      env: { ...env, FIRESTORE_EMULATOR_HOST: firestore.host, PUBSUB_EMULATOR_HOST: pubsub.host },
    })
    try {
      expect(wherry.output()).toContain('Runs on    Firestore emulator, Pub/Sub emulator')
      expect(wherry.ready.firestore).toEqual({ host: firestore.host })
      expect(wherry.ready.pubsub).toEqual({ host: pubsub.host })
      expect(await clustersIn(firestore.host)).toContain(FLEET)
      const topics = await fetch(`http://${pubsub.host}/v1/projects/demo-wherry/topics`)
      expect(await topics.text()).toContain('wherry-changes')
    } finally {
      expect(await wherry.stop(), wherry.output()).toBe(0)
    }
    for (const host of [firestore.host, pubsub.host])
      expect((await fetch(`http://${host}/`)).status).toBe(200)
  }, 120_000)
})
