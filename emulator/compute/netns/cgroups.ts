// Control groups of VMs, on both versions of them: v2 alone, or v1 with a v2 tree beside it ("hybrid").
// A VM's group is `/<slot>/<vm>`; its own processes are in `daemon` below it, its containers in `pods`.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'
const V2_CONTROLLERS = '+cpu +memory +pids +io +cpuset'
const CPU_PERIOD_US = 100_000

export interface CgroupLimits {
  cpus: number
  memoryBytes: number
}

/** v2 alone has the controllers at its root. */
function isUnified(): boolean {
  return existsSync(join(ROOT, 'cgroup.controllers'))
}

/** Every tree in which a group must exist; v1 has one for each controller. */
function trees(): string[] {
  if (isUnified()) return [ROOT]
  return readdirSync(ROOT)
    .map((name) => join(ROOT, name))
    .filter((path) => existsSync(join(path, 'cgroup.procs')))
}

/** Makes the group with its limits; answers the files that a process writes its id to, to join. */
export function createCgroup(group: string, limits: CgroupLimits): string[] {
  return trees().map((tree) => {
    const path = join(tree, group)
    if (isUnified()) {
      makeUnified(path)
    } else {
      mkdirSync(path, { recursive: true })
      if (tree.endsWith('/cpuset')) copyCpuset(tree, group)
    }
    limit(path, limits)
    mkdirSync(join(path, 'daemon'), { recursive: true })
    if (tree.endsWith('/cpuset')) copyCpuset(tree, `${group}/daemon`)
    return daemonFile(tree, group)
  })
}

/** The files that a process of the VM itself writes its id to, to join. */
export function joinFiles(group: string): string[] {
  return trees().map((tree) => daemonFile(tree, group))
}

function daemonFile(tree: string, group: string): string {
  return join(tree, group, 'daemon', 'cgroup.procs')
}

/** Controllers must be passed on by every group above. */
function makeUnified(path: string): void {
  const parts = path.slice(ROOT.length + 1).split('/')
  for (let depth = 0; depth <= parts.length; depth++) {
    const at = join(ROOT, ...parts.slice(0, depth))
    mkdirSync(at, { recursive: true })
    for (const controller of V2_CONTROLLERS.split(' ')) {
      attempt(join(at, 'cgroup.subtree_control'), controller)
    }
  }
}

/** In v1 a group without processors and memory nodes accepts no process. */
function copyCpuset(tree: string, group: string): void {
  let from = tree
  let at = tree
  for (const part of group.split('/')) {
    at = join(at, part)
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const present = readFileSync(join(at, file), 'utf8').trim()
      if (!present) writeFileSync(join(at, file), readFileSync(join(from, file), 'utf8'))
    }
    from = at
  }
}

function limit(path: string, { cpus, memoryBytes }: CgroupLimits): void {
  const quota = cpus * CPU_PERIOD_US
  attempt(join(path, 'memory.limit_in_bytes'), String(memoryBytes))
  attempt(join(path, 'memory.max'), String(memoryBytes))
  attempt(join(path, 'cpu.cfs_quota_us'), String(quota))
  attempt(join(path, 'cpu.max'), `${quota} ${CPU_PERIOD_US}`)
}

/** A controller that is not there limits nothing. */
function attempt(file: string, text: string): void {
  accepts(file, text)
}

/** False for a file that this version or build of the kernel does not have. */
function accepts(file: string, text: string): boolean {
  if (!existsSync(file)) return false
  try {
    writeFileSync(file, text)
    return true
  } catch {
    return false
  }
}

/** Stops the clock of everything in it, or lets it go on. */
export function freezeCgroup(group: string, isFrozen: boolean): void {
  attempt(join(ROOT, 'freezer', group, 'freezer.state'), isFrozen ? 'FROZEN' : 'THAWED')
  attempt(join(ROOT, group, 'cgroup.freeze'), isFrozen ? '1' : '0')
}

/**
 * Bounds what the VM reads from a device and writes to it; undefined: no more. v1 knows no bound for a
 * group with all below it: there each group that is there now gets one. False: this kernel cannot.
 */
export function throttleDisk(
  group: string,
  device: string,
  bytesPerSecond: number | undefined,
): boolean {
  if (isUnified()) {
    const bound = bytesPerSecond ?? 'max'
    return accepts(join(ROOT, group, 'io.max'), `${device} rbps=${bound} wbps=${bound}`)
  }
  const groups = groupsBelow(join(ROOT, 'blkio', group))
  return ['read', 'write'].every((verb) =>
    groups.every((path) => {
      const file = join(path, `blkio.throttle.${verb}_bps_device`)
      // A container that has gone meanwhile needs none.
      return accepts(file, `${device} ${bytesPerSecond ?? 0}`) || !existsSync(path)
    }),
  )
}

/** The processes in it and below. */
export function processesOf(group: string): number[] {
  const tree = isUnified() ? ROOT : join(ROOT, 'pids')
  const pids = groupsBelow(join(tree, group)).flatMap((path) =>
    readOrEmpty(join(path, 'cgroup.procs')).split('\n'),
  )
  return [...new Set(pids.map(Number))].filter((pid) => pid > 1)
}

/** True when it is gone; a group that still has processes stays. */
export function removeCgroup(group: string): boolean {
  let isGone = true
  for (const tree of trees()) {
    for (const path of groupsBelow(join(tree, group)).toReversed()) {
      try {
        rmdirSync(path)
      } catch {
        isGone &&= !existsSync(path)
      }
    }
  }
  return isGone
}

/** Names of the groups right below. */
export function childrenOf(group: string): string[] {
  const names = trees().flatMap((tree) => foldersOf(join(tree, group)))
  return [...new Set(names)]
}

/** It and all below it, parents first. */
function groupsBelow(path: string): string[] {
  if (!existsSync(path)) return []
  return [path, ...foldersOf(path).flatMap((name) => groupsBelow(join(path, name)))]
}

function foldersOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    return []
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
