// Starts the official Firestore and Pub/Sub emulators, or uses those that FIRESTORE_EMULATOR_HOST and
// PUBSUB_EMULATOR_HOST name. The JVMs are started directly (ending Google's wrapper scripts leaves
// the JVM behind) and with a bounded heap (unbounded, the Firestore emulator takes a quarter of the
// machine's memory).

import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.ts'
import { findEmulatorJar, findJava } from './find-emulators.ts'
import { freePort } from './free-port.ts'
import type { Child } from './child.ts'
import type { EmulatorName, Environment } from './find-emulators.ts'
import type { Log } from '#shared/ports/log.ts'

/** One emulator that answers. */
export interface GoogleEmulator {
  /** `127.0.0.1:8080`, the value of its *_EMULATOR_HOST variable. */
  host: string
  /** The JVM; undefined when it was there before us. */
  pid: number | undefined
  /** Resolves when it has ended, by whomever; never for one that was there before us. */
  ended: Promise<string>
}

export interface GoogleEmulators {
  firestore: GoogleEmulator | undefined
  pubsub: GoogleEmulator | undefined
  /** One sentence for each that could not be had. */
  missing: string[]
  /** Ends those that we started. */
  stop(): Promise<void>
}

export interface GoogleEmulatorsOptions {
  /** Where their output goes: `firestore.log`, `pubsub.log`. Made when missing. */
  dir: string
  log: Log
  /** Read for what runs already and where the jars are, and handed to the JVMs. */
  env: Environment
  /** Default: both. */
  only?: EmulatorName[]
  /** Of the Firestore emulator; it keeps everything, and every tombstone, in memory. */
  heapMb?: number
  /** How long an emulator may take to answer. */
  deadlineMs?: number
}

const READY_PATH = { firestore: '/', pubsub: '/v1/projects/wherry/topics' }

/** Starts what is to be had, both at the same time; `missing` says what is not and why. */
export async function startGoogleEmulators(
  options: GoogleEmulatorsOptions,
): Promise<GoogleEmulators> {
  const only = options.only ?? ['firestore', 'pubsub']
  const missing: string[] = []
  const children: Child[] = []
  const one = async (name: EmulatorName): Promise<GoogleEmulator | undefined> => {
    if (!only.includes(name)) return undefined
    const answer = await startOne(name, options, children)
    if (typeof answer !== 'string') return answer
    missing.push(answer)
    options.log.warn('emulator missing', { emulator: name, why: answer })
    return undefined
  }
  const [firestore, pubsub] = await Promise.all([one('firestore'), one('pubsub')])
  return {
    firestore,
    pubsub,
    missing,
    async stop() {
      await Promise.all(children.map((child) => child.stop()))
    },
  }
}

async function startOne(
  name: EmulatorName,
  options: GoogleEmulatorsOptions,
  children: Child[],
): Promise<GoogleEmulator | string> {
  const { env } = options
  const running = env[`${name.toUpperCase()}_EMULATOR_HOST`]
  if (running) {
    options.log.info('emulator was there already', { emulator: name, host: running })
    return { host: running, pid: undefined, ended: new Promise(() => undefined) }
  }
  const jar = await findEmulatorJar(name, env)
  if ('missing' in jar) return jar.missing
  const java = await findJava(env)
  if ('missing' in java) return java.missing
  mkdirSync(options.dir, { recursive: true })
  let why = ''
  // Between choosing a port and its use somebody else may take it: then another one.
  for (let attempt = 0; attempt < 3; attempt++) {
    const port = await freePort()
    const logFile = join(options.dir, `${name}.log`)
    const output = openSync(logFile, 'w')
    const child = await startChild(java.java, javaArguments(name, jar.jar, port, options), {
      env: { ...env },
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    children.push(child)
    const host = `127.0.0.1:${port}`
    const failure = await untilReady(host, READY_PATH[name], child, options.deadlineMs ?? 30_000)
    if (failure === undefined) {
      options.log.info('emulator started', { emulator: name, host, pid: child.pid, jar: jar.jar })
      return { host, pid: child.pid, ended: child.ended }
    }
    await child.stop()
    why = `the ${name} emulator did not start (${failure}; ${logFile})`
    if (!/address already in use|failed to bind/i.test(readFileSync(logFile, 'utf8'))) break
  }
  return why
}

function javaArguments(
  name: EmulatorName,
  jar: string,
  port: number,
  options: GoogleEmulatorsOptions,
): string[] {
  const address = ['--host=127.0.0.1', `--port=${port}`]
  if (name === 'pubsub') {
    return ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-jar', jar, ...address]
  }
  return [
    `-Xmx${options.heapMb ?? 512}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    // Without it error texts follow the machine's locale.
    '-Duser.language=en',
    '-cp',
    jar,
    'com.google.cloud.datastore.emulator.firestore.CloudFirestore',
    'start',
    ...address,
  ]
}

/** Undefined when it answers; else why not. */
async function untilReady(
  host: string,
  path: string,
  child: Child,
  deadlineMs: number,
): Promise<string | undefined> {
  const deadline = Date.now() + deadlineMs
  while (Date.now() < deadline) {
    if (!child.running()) return `it ended with ${await child.ended}`
    const ready = await fetch(`http://${host}${path}`, { signal: AbortSignal.timeout(2000) })
      .then(async (response) => {
        await response.arrayBuffer()
        return response.ok
      })
      .catch(() => false)
    if (ready) return undefined
    await sleep(100)
  }
  return `it did not answer within ${deadlineMs / 1000} s`
}
