// Faults caused as people cause them: `npm run fault -- …`.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { LocalWherry } from './local-wherry.ts'

const PROGRAM = join(import.meta.dirname, '..', 'emulator/fault.ts')

/** What it says; rejects when the fault is refused. */
export async function runFault(wherry: LocalWherry, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], {
    env: { ...process.env, WHERRY_HOME: wherry.home },
  })
  return stdout.trim()
}
