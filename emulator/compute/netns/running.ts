// One VM that has power.

import { execFileSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { VirtualMachine } from '../machines.ts'
import type { MetadataServer } from '../metadata-server.ts'
import type { VmNetwork } from './vpc-namespace.ts'

export interface Running {
  vm: VirtualMachine
  network: VmNetwork
  cgroup: string
  /** `unshare`; its only child is the VM's first process. */
  child: ChildProcess
  metadata: MetadataServer
  exited: Promise<number | null>
  /** It goes because it was told to. */
  isExpected: boolean
}

/** The VM's first process, as this machine numbers it. */
export function initOf({ child }: Running): number | undefined {
  if (!child.pid) return undefined
  try {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
    const pid = Number(children.split(' ')[0])
    return pid > 1 ? pid : undefined
  } catch {
    // It has gone meanwhile.
    return undefined
  }
}

/** Runs a program among the VM's files and processes; answers what it prints. */
export function runInVm(machine: Running, command: readonly string[]): string {
  const pid = initOf(machine)
  if (!pid) throw new Error(`${machine.vm.name} does not run`)
  return execFileSync('nsenter', ['--mount', '--pid', '--target', String(pid), '--', ...command], {
    encoding: 'utf8',
  })
}
