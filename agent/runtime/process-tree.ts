// Which processes belong to a container, and what they use, from Linux' /proc. A child that left the
// process group (setsid) still carries the container's mark in its environment. On systems without
// /proc the answers are empty and the process group is all there is.

import { readdirSync, readFileSync } from 'node:fs'

/** The variable that marks every process of a container: `<agent>.<container id>`. */
export const MARK = 'WHERRY_CONTAINER_ID'

/** The processes whose mark starts with `prefix`. Synchronous: a power cut cannot wait. */
export function markedProcesses(prefix: string): number[] {
  return processes().filter((pid) => {
    const environ = read(`/proc/${pid}/environ`)
    return environ.startsWith(`${MARK}=${prefix}`) || environ.includes(`\0${MARK}=${prefix}`)
  })
}

/** A process and its descendants. */
export function processTree(pid: number): number[] {
  const found = [pid]
  for (const parent of found) {
    const children = read(`/proc/${parent}/task/${parent}/children`)
    found.push(...children.split(' ').filter(Boolean).map(Number))
  }
  return found
}

/** What a process has for itself alone (resident, without file pages it shares). */
export function memoryOf(pid: number): number {
  const [, resident = 0, shared = 0] = read(`/proc/${pid}/statm`).split(' ').map(Number)
  return Math.max(0, resident - shared) * PAGE_BYTES
}

/** CPU time used, in nanoseconds. */
export function cpuOf(pid: number): number {
  const fields = statFields(pid)
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * NANOS_PER_TICK
}

/** When a process began, in a form that differs for a later one with the same pid; '' if unknown. */
export function startMarkOf(pid: number): string {
  return statFields(pid)[19] ?? ''
}

const PAGE_BYTES = 4096
const NANOS_PER_TICK = 10_000_000

/** The fields of /proc/PID/stat after the command's name (which may hold anything). */
function statFields(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`)
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function processes(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

/** '' when the process has gone meanwhile or is not ours to look at. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Sends a signal; false when nobody was there to get it. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  // 0 and -1 mean "my own group" and "everybody" to the kernel.
  if (Math.abs(pid) <= 1) return false
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}
