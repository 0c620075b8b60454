// CPU limits through the kernel's control groups, version 2 or 1, where this user may make them. Where
// it may not, a limit is not enforced and the runtime says so.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'
const PERIOD_US = 100_000

export interface CpuLimits {
  readonly isAvailable: boolean
  /** Puts a process and what it will start under a limit. */
  apply(id: string, pid: number, cpuMillis: number): void
  /** Forgets the group, once its processes are gone. */
  release(id: string): void
}

/** Groups of the agent `owner`; those that an earlier one left behind are removed. */
export function openCpuLimits(owner: string): CpuLimits {
  const base = prepare(owner)
  if (!base) return { isAvailable: false, apply: () => undefined, release: () => undefined }
  for (const old of readdirSync(base.folder, { withFileTypes: true })) {
    if (old.isDirectory()) remove(join(base.folder, old.name))
  }
  return {
    isAvailable: true,
    apply(id, pid, cpuMillis) {
      const folder = join(base.folder, id)
      mkdirSync(folder, { recursive: true })
      const quota = Math.max(1000, Math.round((cpuMillis / 1000) * PERIOD_US))
      if (base.version === 2) writeFileSync(join(folder, 'cpu.max'), `${quota} ${PERIOD_US}`)
      else {
        writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US))
        writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(quota))
      }
      writeFileSync(join(folder, 'cgroup.procs'), String(pid))
    },
    release: (id) => remove(join(base.folder, id)),
  }
}

/** This user's own group, or undefined where it may make none. */
function prepare(owner: string): { folder: string; version: 1 | 2 } | undefined {
  const isVersion2 = existsSync(join(ROOT, 'cgroup.controllers'))
  try {
    const folder = join(ROOT, isVersion2 ? '' : 'cpu', `wherry-${owner}`)
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

function remove(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Still busy for a moment, or gone: the next start of the agent removes it.
  }
}
