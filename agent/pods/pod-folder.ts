// A pod's folder on disk and what is mounted below it. It is never removed while something is mounted
// there: that would remove what is mounted.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where the agent keeps what belongs to a pod. */
export function podFolder(stateDir: string, uid: string): string {
  return join(stateDir, 'pods', uid)
}

/** Unmounts what is mounted at or below the folder, then removes it. */
export async function removeFolder(folder: string): Promise<void> {
  for (const point of mountsBelow(folder)) await unmount(point)
  const [left] = mountsBelow(folder)
  if (left) throw new Error(`still mounted: ${left}`)
  await rm(folder, { recursive: true, force: true })
}

/** True when something is mounted just there. */
export function isMounted(point: string): boolean {
  return mountsBelow(point).includes(point)
}

/** Memory as a folder; without a size half of the machine's, as the kernel has it. */
export async function mountTmpfs(folder: string, bytes: number | undefined): Promise<void> {
  const size = bytes === undefined ? [] : [`size=${bytes}`]
  const options = ['mode=0777', 'nosuid', 'nodev', ...size].join(',')
  await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
}

/** Makes `to` the same thing as `from`, which may be a path through /proc. */
export async function bindMount(from: string, to: string): Promise<void> {
  await run('mount', ['--no-canonicalize', '--bind', from, to])
}

async function unmount(point: string): Promise<void> {
  await run('umount', ['--lazy', '--no-canonicalize', point]).catch(() => undefined)
}

/** Deepest and newest first. */
function mountsBelow(folder: string): string[] {
  return readMounts()
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .toReversed()
}

function readMounts(): string[] {
  let text: string
  try {
    text = readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    // Not Linux: nothing is mounted by this agent there.
    return []
  }
  return text.split('\n').flatMap((line) => {
    const point = line.split(' ')[4]
    return point ? [unescape(point)] : []
  })
}

/** The kernel writes spaces and the like as `\040`. */
function unescape(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}
