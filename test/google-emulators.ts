// Starts the official Firestore and Pub/Sub emulators once for a whole test run and tells the workers
// where they are: FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST. A test that needs one and finds no
// variable skips itself and says so, except in CI, where a missing emulator fails the run.
// Tests that freeze or stop an emulator start their own (emulator/google/emulators.ts).

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { startGoogleEmulators } from '#emulator/google/emulators.ts'
import type { TestProject } from 'vitest/node'

/** Tests in these folders never speak to an emulator: a run of them alone starts none. */
const PURE = /^(shared|console|examples)\//

/** Called by vitest before the first worker starts; answers what ends it all. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Else every Google client looks for the metadata server of a machine on Google Cloud.
  process.env['METADATA_SERVER_DETECTION'] = 'none'
  if (!(await anyNeedsEmulators(project))) return async () => undefined
  const dir = mkdtempSync(join(tmpdir(), 'wherry-emulators-'))
  const emulators = await startGoogleEmulators({ dir, log: createMemoryLog(), env: process.env })
  const stop = async (): Promise<void> => {
    await emulators.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  if (emulators.missing.length > 0) {
    const why = emulators.missing.join('\n')
    if (process.env['CI']) {
      await stop()
      throw new Error(`CI runs every test, and some need the emulators:\n${why}`)
    }
    console.warn(`Tests that need them are skipped:\n${why}`)
  }
  if (emulators.firestore) process.env['FIRESTORE_EMULATOR_HOST'] = emulators.firestore.host
  if (emulators.pubsub) process.env['PUBSUB_EMULATOR_HOST'] = emulators.pubsub.host
  return stop
}

async function anyNeedsEmulators({ vitest }: TestProject): Promise<boolean> {
  const chosen = await vitest.globTestSpecifications(namesOnCommandLine(vitest))
  const root = vitest.config.root
  return chosen.some(({ moduleId }) => !PURE.test(relative(root, moduleId)))
}

/** vitest does not type them; without them every test file counts as chosen. */
function namesOnCommandLine(vitest: object): string[] {
  const names = 'filenamePattern' in vitest ? vitest.filenamePattern : undefined
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
}
