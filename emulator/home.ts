// The folder that `npm start` keeps everything in (`.wherry/`): locks, credentials, state, logs.

import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Home {
  dir: string
  /** A path inside. */
  path(...parts: string[]): string
  /** A random text that outlives restarts, e.g. the admin's token. */
  secret(name: string): string
  release(): void
}

/** Somebody else works in this folder. */
export class HomeBusyError extends Error {
  override readonly name = 'HomeBusyError'
}

/**
 * Opens the folder for this process alone. With `reset` everything but the credentials goes, so
 * that a kubeconfig that somebody has copied stays good. Error: HomeBusyError names the owner.
 */
export function openHome(dir: string, { reset }: { reset: boolean }): Home {
  mkdirSync(dir, { recursive: true })
  const lock = join(dir, 'lock')
  const owner = readOwner(lock)
  if (owner !== undefined && owner !== process.pid && isAlive(owner)) {
    throw new HomeBusyError(
      `Wherry already runs in ${dir} (process ${owner}). Stop it first, or set WHERRY_HOME to another folder.`,
    )
  }
  writeFileSync(lock, String(process.pid))
  if (reset)
    for (const name of ['state.json', 'vms', 'disks', 'firestore'])
      rmSync(join(dir, name), { recursive: true, force: true })
  return {
    dir,
    path: (...parts) => join(dir, ...parts),
    secret: (name) => readOrCreateSecret(join(dir, name)),
    release: () => rmSync(lock, { force: true }),
  }
}

function readOwner(lock: string): number | undefined {
  const text = readIfThere(lock)
  const pid = Number(text)
  return text !== undefined && Number.isInteger(pid) && pid > 1 ? pid : undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function readOrCreateSecret(path: string): string {
  const present = readIfThere(path)?.trim()
  if (present) return present
  const secret = randomBytes(24).toString('base64url')
  writeFileSync(path, secret, { mode: 0o600 })
  return secret
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
