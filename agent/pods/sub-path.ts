// subPath mounts that cannot be led out of their volume: a container may put a symbolic link where the
// path was just checked. As kubelet: the path is walked component by component without following links,
// and what was opened, not its name, is bound to a place of the agent's own.

import { closeSync, constants, fstatSync, mkdirSync, openSync, realpathSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { StartRefused } from '../runtime/runtime.ts'
import { bindMount, isMounted } from './pod-folder.ts'

/** Linux' O_PATH, which Node.js does not name: opens the place, whatever it is. */
const O_PATH = 0o10000000

export interface SubPath {
  /** The volume as this agent reaches it. */
  volume: string
  path: string
  /** Folders that are missing are made. */
  creates: boolean
  /** Where to bind it. */
  target: string
}

/** Binds it and answers `target`. StartRefused: it is not there, or leads out of the volume. */
export async function bindSubPath({ volume, path, creates, target }: SubPath): Promise<string> {
  if (isMounted(target)) return target
  const fd = openBelow(volume, path, creates)
  try {
    await mkdir(dirname(target), { recursive: true })
    if (fstatSync(fd).isDirectory()) await mkdir(target, { recursive: true })
    else await writeFile(target, '', { flag: 'a' })
    await bindMount(`/proc/${process.pid}/fd/${fd}`, target)
    return target
  } finally {
    closeSync(fd)
  }
}

/** A descriptor of the place; links inside of the volume are followed as they are now. */
function openBelow(volume: string, path: string, creates: boolean): number {
  if (path.split('/').includes('..')) throw refuse(`subPath must not contain '..': ${path}`)
  const base = realpathSync(volume)
  const wanted = join(base, path)
  const inside = relative(base, existing(wanted) ?? wanted)
  if (inside.split('/')[0] === '..') throw refuse(`subpath "${path}" not within volume path`)
  let fd = openSync(base, O_PATH | constants.O_DIRECTORY)
  for (const part of inside.split('/').filter(Boolean)) {
    const next = openPart(fd, part, creates)
    closeSync(fd)
    if (next === undefined) throw refuse(`subPath ${path} does not exist in the volume`)
    fd = next
  }
  return fd
}

function openPart(parent: number, part: string, creates: boolean): number | undefined {
  const path = `/proc/self/fd/${parent}/${part}`
  const open = (): number => {
    const fd = openSync(path, O_PATH | constants.O_NOFOLLOW)
    if (!fstatSync(fd).isSymbolicLink()) return fd
    closeSync(fd)
    throw refuse(`subPath: unexpected symlink ${part}`)
  }
  try {
    return open()
  } catch (error) {
    if (error instanceof StartRefused) throw error
    if (!creates) return undefined
    mkdirSync(path, { mode: 0o750 })
    return open()
  }
}

function existing(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function refuse(message: string): StartRefused {
  return new StartRefused('CreateContainerConfigError', message)
}
