// A power cut for a VM that is a process tree: nothing that it started may survive, also what left
// its process group or lost its parent. All are frozen first, so that none can start another
// meanwhile, and then killed.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

interface ProcessInfo {
  pid: number
  parent: number
  group: number
  isZombie: boolean
}

export interface Tree {
  /** The VM's first process; it leads the group of the same number. Undefined: it is not known. */
  root: number | undefined
  /** Texts `NAME=value`: whatever has one of them in its environment belongs to the VM (Linux). */
  marks: readonly string[]
}

const GONE_TIMEOUT_MS = 5000

/** Nothing of it moves from now on; answers its processes. */
export function freezeTree(tree: Tree): Set<number> {
  const frozen = new Set<number>()
  for (;;) {
    const found = membersOf(tree, frozen).filter((pid) => !frozen.has(pid))
    if (found.length === 0) return frozen
    for (const pid of found) {
      frozen.add(pid)
      signal(pid, 'SIGSTOP')
    }
  }
}

/** It goes on where it was. */
export function thawTree(tree: Tree): void {
  for (const pid of membersOf(tree, new Set())) signal(pid, 'SIGCONT')
}

/** Resolves when none of it runs any more. */
export async function killTree(tree: Tree): Promise<void> {
  const frozen = freezeTree(tree)
  for (const pid of frozen) signal(pid, 'SIGKILL')
  const deadline = Date.now() + GONE_TIMEOUT_MS
  while ([...frozen].some(isRunning)) {
    if (Date.now() > deadline)
      throw new Error(`processes survive SIGKILL: ${[...frozen].filter(isRunning).join(' ')}`)
    await delay(5)
  }
}

/** The processes whose environment has all of these `NAME=value` (or beginnings of one). Linux only. */
export function findMarked(marks: readonly string[]): number[] {
  return listProcesses()
    .filter(({ pid, isZombie }) => !isZombie && marks.every((mark) => hasMark(pid, [mark])))
    .map(({ pid }) => pid)
}

/** Everything that belongs to the tree now, besides what is `known` to. */
function membersOf({ root, marks }: Tree, known: ReadonlySet<number>): number[] {
  const all = listProcesses().filter((one) => !one.isZombie && one.pid !== process.pid)
  const members = new Set(known)
  for (const { pid, group } of all) {
    if (pid === root || group === root || hasMark(pid, marks)) members.add(pid)
  }
  for (let size = -1; size !== members.size;) {
    size = members.size
    for (const { pid, parent, group } of all) {
      if (members.has(parent) || members.has(group)) members.add(pid)
    }
  }
  const running = new Set(all.map(({ pid }) => pid))
  return [...members].filter((pid) => running.has(pid))
}

function listProcesses(): ProcessInfo[] {
  return process.platform === 'linux' ? listFromProc() : listFromPs()
}

function listFromProc(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const info = readStat(Number(name))
      return info ? [info] : []
    })
}

function readStat(pid: number): ProcessInfo | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`)
  // The command's name stands in brackets and may hold anything.
  const [state, parent, group] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  if (!text || !state) return undefined
  return { pid, parent: Number(parent), group: Number(group), isZombie: 'ZX'.includes(state) }
}

function listFromPs(): ProcessInfo[] {
  const text = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat='], { encoding: 'utf8' })
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length >= 4)
    .map(([pid, parent, group, stat]) => ({
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      isZombie: stat?.startsWith('Z') ?? false,
    }))
}

function hasMark(pid: number, marks: readonly string[]): boolean {
  if (process.platform !== 'linux' || marks.length === 0) return false
  const environment = `\0${readOrEmpty(`/proc/${pid}/environ`)}`
  return marks.some((mark) => environment.includes(`\0${mark}`))
}

function isRunning(pid: number): boolean {
  if (process.platform === 'linux') {
    const info = readStat(pid)
    return info !== undefined && !info.isZombie
  }
  return listFromPs().some((one) => one.pid === pid && !one.isZombie)
}

/** '' when it has gone meanwhile or is not ours to look at. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has gone meanwhile: that is what is wanted.
  }
}
