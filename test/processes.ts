// Looks at this machine's processes (Linux, /proc), so that tests can kill what a fault would kill.

import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessInfo {
  pid: number
  parent: number
  command: string[]
  environment: Record<string, string>
}

/** Every process that can be read; those that end meanwhile are left out. */
export function listProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? [])
}

/** The process and all that it started, parents first. */
export function processTree(root: number): number[] {
  const all = listProcesses()
  const found = [root]
  for (const pid of found)
    found.push(...all.filter(({ parent }) => parent === pid).map((info) => info.pid))
  return found
}

function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z') return undefined
    const split = (file: string): string[] =>
      readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').filter(Boolean)
    const environment = Object.fromEntries(
      split('environ').map((pair) => [
        pair.slice(0, pair.indexOf('=')),
        pair.slice(pair.indexOf('=') + 1),
      ]),
    )
    return { pid, parent: Number(parent), command: split('cmdline'), environment }
  } catch {
    return undefined
  }
}
