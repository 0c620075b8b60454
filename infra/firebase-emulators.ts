// What firebase-tools needs to start emulators that are on this machine already, instead of
// downloading its own.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findEmulatorJar, findJava } from '#emulator/google/find-emulators.ts'
import type { Environment } from '#emulator/google/find-emulators.ts'
import { wrapperJar } from './jar.ts'

const FIRESTORE_MAIN = 'com.google.cloud.datastore.emulator.firestore.CloudFirestore'

export interface FirebaseEmulators {
  /** To be added to firebase-tools' environment. */
  env: Record<string, string>
  /** A sentence for each that is not on this machine; firebase-tools downloads those. */
  missing: string[]
}

/** Looks for the emulators and writes into `dir` how firebase-tools starts them. */
export async function prepareFirebaseEmulators(
  dir: string,
  env: Environment,
): Promise<FirebaseEmulators> {
  mkdirSync(dir, { recursive: true })
  const result: FirebaseEmulators = { env: { PATH: pathWithoutPs(dir, env) }, missing: [] }
  const java = await findJava(env)
  if ('missing' in java) result.missing.push(java.missing)

  const firestore = await findEmulatorJar('firestore', env)
  if ('missing' in firestore) result.missing.push(firestore.missing)
  else {
    const jar = join(dir, 'firestore.jar')
    writeFileSync(jar, wrapperJar(firestore.jar, FIRESTORE_MAIN))
    result.env['FIRESTORE_EMULATOR_BINARY_PATH'] = jar
  }

  const pubsub = await findEmulatorJar('pubsub', env)
  if ('missing' in pubsub) result.missing.push(pubsub.missing)
  else if ('java' in java && process.platform !== 'win32') {
    // Not Google's script: this one bounds the heap.
    const script = join(dir, 'pubsub')
    const command = ['-Xmx256m', '-jar', pubsub.jar].map(shellQuote).join(' ')
    writeScript(script, `exec ${shellQuote(java.java)} ${command} "$@"`)
    result.env['PUBSUB_EMULATOR_BINARY_PATH'] = script
  }
  return result
}

/**
 * When its Pub/Sub emulator does not end within 4 s, firebase-tools kills -9 every process of the
 * machine whose line in `ps` has "pubsub-emulator" in it, whoever started it. It gets a `ps` that
 * lists nothing.
 */
function pathWithoutPs(dir: string, env: Environment): string {
  const bin = join(dir, 'bin')
  mkdirSync(bin, { recursive: true })
  writeScript(join(bin, 'ps'), 'exit 0')
  return [bin, env['PATH'] ?? ''].join(delimiter)
}

function writeScript(path: string, command: string): void {
  writeFileSync(path, `#!/bin/sh\n${command}\n`)
  chmodSync(path, 0o755)
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
