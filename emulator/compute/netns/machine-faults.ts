// What can go wrong with a VM of namespaces: its clock, its processes, its network, its disk, its
// processors.

import { readFileSync } from 'node:fs'
import type { MachineFaults } from '../machines.ts'
import { freezeCgroup, processesOf } from './cgroups.ts'
import { isOfNetwork, type NetworkFaults } from './network-faults.ts'
import { healResources, impairResources } from './resource-faults.ts'
import { runInVm, type Running } from './running.ts'

export function createNetnsFaults(
  network: NetworkFaults,
  find: (name: string) => Running | undefined,
): MachineFaults {
  const impaired = new Set<Running>()
  const need = (name: string): Running => {
    const machine = find(name)
    if (machine) return machine
    throw new Error(`${name} does not run`)
  }

  return {
    freeze: (name) => freezeCgroup(need(name).cgroup, true),
    thaw: (name) => freezeCgroup(need(name).cgroup, false),
    killAgent(name) {
      killUnit(need(name), 'agent')
      return `the agent of ${name} is dead; its VM starts it again`
    },
    killDocker(name) {
      killUnit(need(name), 'docker')
      return `the Docker Engine of ${name} is dead; its VM starts it again`
    },
    killPod(name, hostname) {
      // What holds the pod's network is no container of it: with that the whole pod would be made anew.
      const found = processesOf(`${need(name).cgroup}/pods`).filter(
        (pid) =>
          `\0${fileOf(pid, 'environ')}`.includes(`\0HOSTNAME=${hostname}\0`) &&
          fileOf(pid, 'cmdline') !== PAUSE,
      )
      for (const pid of found) killIfThere(pid)
      return found.length > 0
    },
    async impair(name, what) {
      const machine = need(name)
      impaired.add(machine)
      if (isOfNetwork(what)) await network.impair(machine.network, what)
      else impairResources(machine, what)
    },
    async heal(name) {
      const machine = find(name)
      if (!machine || !impaired.delete(machine)) return false
      await network.heal(machine.network)
      healResources(machine)
      return true
    },
  }
}

const PAUSE = '/pause\0'

/** The program that the VM's first process looks after. */
function killUnit(machine: Running, unit: 'agent' | 'docker'): void {
  runInVm(machine, ['bash', '-c', `kill -KILL "$(cat /run/vm/${unit}.pid)"`])
}

function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch {
    // It has gone meanwhile.
    return ''
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone meanwhile: that is what is wanted.
  }
}
