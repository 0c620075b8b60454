// CPU limits through the kernel's control groups, version 2 or 1, where this user may make them. Where
// it may not, a limit is not enforced and the runtime says so.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'
const PERIOD_US = 100_000
const OLD_MS = 60_000

export interface CpuLimits {
  readonly isAvailable: boolean
  /** Puts a process and what it will start under a limit. Throws when the kernel refuses. */
  apply(id: string, pid: number, cpuMillis: number): void
  /** Forgets the group, once its processes are gone. */
  release(id: string): void
}

/** Groups of the agent `owner`; those that ended agents left behind are removed. */
export function openCpuLimits(owner: string): CpuLimits {
  const base = prepare()
  if (!base) return { isAvailable: false, apply: () => undefined, release: () => undefined }
  const folderOf = (id: string): string => join(base.folder, `${owner}-${id}`)
  removeOld(base.folder, owner)
  return {
    isAvailable: true,
    apply(id, pid, cpuMillis) {
      const folder = folderOf(id)
      mkdirSync(folder, { recursive: true })
      const quota = Math.max(1000, Math.round((cpuMillis / 1000) * PERIOD_US))
      if (base.version === 2) writeFileSync(join(folder, 'cpu.max'), `${quota} ${PERIOD_US}`)
      else {
        writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US))
        writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(quota))
      }
      writeFileSync(join(folder, 'cgroup.procs'), String(pid))
    },
    release: (id) => remove(folderOf(id)),
  }
}

/** The group of all agents on this machine, or undefined where this user may make none. */
function prepare(): { folder: string; version: 1 | 2 } | undefined {
  const isVersion2 = existsSync(join(ROOT, 'cgroup.controllers'))
  try {
    const folder = join(ROOT, isVersion2 ? '' : 'cpu', 'wherry')
    if (isVersion2) {
      const enabled = readFileSync(join(ROOT, 'cgroup.subtree_control'), 'utf8').split(/\s+/)
      if (!enabled.includes('cpu')) return undefined
    } else if (!existsSync(join(ROOT, 'cpu', 'tasks'))) return undefined
    mkdirSync(folder, { recursive: true })
    if (isVersion2) writeFileSync(join(folder, 'cgroup.subtree_control'), '+cpu')
    return { folder, version: isVersion2 ? 2 : 1 }
  } catch {
    return undefined
  }
}

/** The kernel refuses to remove a group that has processes, so a living agent's stay. */
function removeOld(base: string, owner: string): void {
  for (const { name } of readdirSync(base, { withFileTypes: true }).filter((e) =>
    e.isDirectory(),
  )) {
    const folder = join(base, name)
    // One that was just made may still wait for its process.
    const isOld = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0) > OLD_MS
    if (name.startsWith(`${owner}-`) || isOld) remove(folder)
  }
}

function remove(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Still busy for a moment, or gone: the next start of the agent removes it.
  }
}
