// `npm run emulators [-- options of firebase emulators:start]`: the official emulators through the
// pinned firebase-tools and firebase.json, for those who want them beside `npm start`.
// `--check` only says what is missing.

import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { prepareFirebaseEmulators } from './firebase-emulators.ts'

const ROOT = resolve(import.meta.dirname, '..')
const args = process.argv.slice(2)
const { env, missing } = await prepareFirebaseEmulators(
  join(ROOT, '.wherry', 'firebase'),
  process.env,
)
for (const why of missing) console.error(why)
if (args.includes('--check')) process.exitCode = missing.length === 0 ? 0 : 1
else start()

function start(): void {
  console.error(
    'When they run: FIRESTORE_EMULATOR_HOST=127.0.0.1:8080 PUBSUB_EMULATOR_HOST=127.0.0.1:8085 npm start',
  )
  const firebase = join(ROOT, 'node_modules', 'firebase-tools', 'lib', 'bin', 'firebase.js')
  const child = spawn(
    process.execPath,
    [
      firebase,
      'emulators:start',
      '--project',
      'demo-wherry',
      '--only',
      'firestore,pubsub',
      ...args,
    ],
    { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'inherit' },
  )
  // Ctrl-C reaches firebase-tools by itself; a signal to this process alone is passed on.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGINT'))
  child.once('exit', (code) => (process.exitCode = code ?? 1))
}
