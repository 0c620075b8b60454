// What was wanted of this machine when its agent last heard, on its disk: pods run and names are known
// before the control plane answers, or while it is away.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DesiredState } from '#shared/api/agent-wire.ts'
import { isDesired } from './api-client.ts'

/** Where it is kept. */
export function keptStateFile(stateDir: string): string {
  return join(stateDir, 'desired.json')
}

/** Replaces what was kept. */
export function keepState(file: string, instanceId: string, desired: DesiredState): void {
  mkdirSync(dirname(file), { recursive: true })
  // It holds Secrets: for the agent's own eyes.
  writeFileSync(`${file}.new`, JSON.stringify({ instanceId, desired }), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Only what this very machine has kept counts; undefined: nothing. */
export function loadState(file: string, instanceId: string): DesiredState | undefined {
  try {
    const kept: { instanceId?: unknown; desired?: unknown } = JSON.parse(readFileSync(file, 'utf8'))
    return kept.instanceId === instanceId && isDesired(kept.desired) ? kept.desired : undefined
  } catch {
    return undefined
  }
}
