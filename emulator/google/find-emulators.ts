// Where the official Firestore and Pub/Sub emulators may be on this machine, in the order in which
// they are asked: the variables firebase-tools reads, the gcloud SDK, the cache of firebase-tools.

import { execFile } from 'node:child_process'
import { access, readdir, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type EmulatorName = 'firestore' | 'pubsub'

/** The environment as a plain record, so that tests can hand in another. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A jar to run, or why there is none: a sentence for people. */
export type Found = { jar: string } | { missing: string }

const GCLOUD_COMPONENT = { firestore: 'cloud-firestore-emulator', pubsub: 'pubsub-emulator' }

/** The jar of one emulator, or a sentence that says what to install. */
export async function findEmulatorJar(name: EmulatorName, env: Environment): Promise<Found> {
  const variable = `${name.toUpperCase()}_EMULATOR_BINARY_PATH`
  const named = env[variable]
  if (named) {
    const jar = await jarBehind(name, named)
    return jar ? { jar } : { missing: `${variable} is ${named}, which is not an emulator` }
  }
  for (const root of await sdkRoots(env)) {
    const jar = await jarInSdk(name, root)
    if (jar) return { jar }
  }
  const cached = await jarInFirebaseCache(name, env)
  if (cached) return { jar: cached }
  return {
    missing:
      `the ${name === 'firestore' ? 'Firestore' : 'Pub/Sub'} emulator is not installed ` +
      `(gcloud components install ${GCLOUD_COMPONENT[name]}, or npx firebase-tools setup:emulators:${name})`,
  }
}

/** The java command, or why it cannot be used. */
export async function findJava(
  env: Environment,
): Promise<{ java: string; version: string } | { missing: string }> {
  const java = env['JAVA_HOME'] ? join(env['JAVA_HOME'], 'bin', 'java') : 'java'
  try {
    const { stderr } = await run(java, ['-version'], { timeout: 20_000, env: { ...env } })
    const version = /version "([^"]+)"/.exec(stderr)?.[1] ?? 'unknown'
    const major = Number(
      version.split('.')[0] === '1' ? version.split('.')[1] : version.split('.')[0],
    )
    if (major < 11) return { missing: `Java ${version} is too old, the emulators need 11 or newer` }
    return { java, version }
  } catch {
    return { missing: 'Java is not installed (a Java runtime 11 or newer runs the emulators)' }
  }
}

/** firebase-tools accepts a jar or a script here; of a script we want the jar beside it. */
async function jarBehind(name: EmulatorName, path: string): Promise<string | undefined> {
  if (path.endsWith('.jar')) return (await exists(path)) ? path : undefined
  const folder = dirname(path)
  return name === 'firestore'
    ? newestJar(folder, /^cloud-firestore-emulator.*\.jar$/)
    : newestJar(join(folder, '..', 'lib'), /^cloud-pubsub-emulator-.*-all\.jar$/)
}

async function jarInSdk(name: EmulatorName, root: string): Promise<string | undefined> {
  return name === 'firestore'
    ? newestJar(
        join(root, 'platform', 'cloud-firestore-emulator'),
        /^cloud-firestore-emulator.*\.jar$/,
      )
    : newestJar(
        join(root, 'platform', 'pubsub-emulator', 'lib'),
        /^cloud-pubsub-emulator-.*-all\.jar$/,
      )
}

async function jarInFirebaseCache(
  name: EmulatorName,
  env: Environment,
): Promise<string | undefined> {
  const cache =
    env['FIREBASE_EMULATORS_PATH'] ??
    join(env['HOME'] ?? homedir(), '.cache', 'firebase', 'emulators')
  if (name === 'firestore') return newestJar(cache, /^cloud-firestore-emulator-v?[\d.]+\.jar$/)
  // firebase-tools unpacks Pub/Sub's zip into a folder of the same name.
  for (const folder of (await list(cache)).filter((file) =>
    /^pubsub-emulator-[\d.]+$/.test(file),
  )) {
    const jar = await newestJar(
      join(cache, folder, 'pubsub-emulator', 'lib'),
      /^cloud-pubsub-emulator-.*-all\.jar$/,
    )
    if (jar) return jar
  }
  return undefined
}

/** SDK roots, cheapest to find first; asking gcloud itself costs about a second. */
async function sdkRoots(env: Environment): Promise<string[]> {
  const home = env['HOME'] ?? homedir()
  const known = [
    env['CLOUDSDK_ROOT_DIR'],
    await rootOfCommand(env),
    join(home, 'google-cloud-sdk'),
    '/usr/lib/google-cloud-sdk',
    '/usr/share/google-cloud-sdk',
    '/opt/google-cloud-sdk',
    '/snap/google-cloud-cli/current',
    '/usr/local/share/google-cloud-sdk',
    '/opt/homebrew/share/google-cloud-sdk',
  ].filter((root) => root !== undefined)
  const present: string[] = []
  for (const root of known) if (await exists(join(root, 'platform'))) present.push(root)
  if (present.length > 0) return present
  const asked = await rootAskedFromGcloud(env)
  return asked ? [asked] : []
}

/** gcloud is `ROOT/bin/gcloud`, often behind a symbolic link. */
async function rootOfCommand(env: Environment): Promise<string | undefined> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const command = join(folder, 'gcloud')
    if (folder && (await exists(command))) return dirname(dirname(await realpath(command)))
  }
  return undefined
}

async function rootAskedFromGcloud(env: Environment): Promise<string | undefined> {
  try {
    const format = '--format=value(installation.sdk_root)'
    const { stdout } = await run('gcloud', ['info', format], { timeout: 20_000, env: { ...env } })
    return stdout.trim() || undefined
  } catch {
    return undefined
  }
}

async function newestJar(folder: string, pattern: RegExp): Promise<string | undefined> {
  const jars = (await list(folder)).filter((file) => pattern.test(file))
  const newest = jars.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  return newest ? join(folder, newest) : undefined
}

async function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
