// What can go wrong with a VM of namespaces: its clock, its processes, its network, its disk.

import { readFileSync } from 'node:fs'
import { CannotCause, type Impairment, type MachineFaults } from '../machines.ts'
import { freezeCgroup, processesOf } from './cgroups.ts'
import { attempt, nft, run } from './run.ts'
import { initOf, runInVm, type Running } from './running.ts'
import type { Slot } from './slots.ts'
import { linkOf, type VmNetwork } from './vpc-namespace.ts'

export function createNetnsFaults(
  slot: Slot,
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
      const found = processesOf(`${need(name).cgroup}/pods`).filter((pid) =>
        `\0${fileOf(pid, 'environ')}`.includes(`\0HOSTNAME=${hostname}\0`),
      )
      for (const pid of found) killIfThere(pid)
      return found.length > 0
    },
    async impair(name, what) {
      const machine = need(name)
      impaired.add(machine)
      await impair(slot, machine, what)
    },
    async heal(name) {
      const machine = find(name)
      if (!machine || !impaired.delete(machine)) return false
      await undo(slot, machine)
      return true
    },
  }
}

/** The program that the VM's first process looks after. */
function killUnit(machine: Running, unit: 'agent' | 'docker'): void {
  runInVm(machine, ['bash', '-c', `kill -KILL "$(cat /run/vm/${unit}.pid)"`])
}

async function impair(slot: Slot, machine: Running, what: Impairment): Promise<void> {
  const link = linkOf(machine.network)
  const { name } = slot
  if (what.kind === 'full disk') {
    runInVm(machine, ['bash', '-c', FILL])
    return
  }
  if (what.kind === 'delay') {
    const how = ['netem', 'delay', `${what.ms}ms`]
    const where = ['-n', name, 'qdisc', 'replace', 'dev', link, 'root']
    if (await attempt(run('tc', [...where, ...how]))) return
    throw new CannotCause('the kernel of this machine cannot delay packets: it has no netem')
  }
  if (what.kind === 'loss') {
    const chain = `loses_${link}`
    await nft(
      `add chain ip vpc ${chain}
flush chain ip vpc ${chain}
add rule ip vpc ${chain} numgen random mod 100 < ${what.percent} drop
add element ip vpc loses { ${link} : jump ${chain} }
`,
      name,
    )
    return
  }
  const sets = {
    both: ['cannot_send', 'cannot_receive'],
    send: ['cannot_send'],
    receive: ['cannot_receive'],
  }[what.direction]
  await nft(sets.map((set) => `add element ip vpc ${set} { ${link} }\n`).join(''), name)
}

const FILLER = '/run/stateful/filler'
/** Takes room without writing to it, in ever smaller pieces until not one is left. */
const FILL = `mkdir -p ${FILLER}; n=0
for ((size = 1 << 36; size >= 4096; size /= 2)); do
  while fallocate -l $size ${FILLER}/$n 2>/dev/null; do n=$((n + 1)); done
  rm -f ${FILLER}/$n
done`

async function undo(slot: Slot, machine: Running): Promise<void> {
  await healNetwork(slot, machine.network)
  try {
    runInVm(machine, ['rm', '-rf', FILLER])
  } catch (error) {
    // Who was silent for long is made anew by its cluster: a VM that has gone meanwhile needs no healing.
    if (initOf(machine)) throw error
  }
}

/** Also when a VM goes: the next one of its number is well. */
export async function healNetwork(slot: Slot, network: VmNetwork): Promise<void> {
  const link = linkOf(network)
  const { name } = slot
  for (const set of ['cannot_send', 'cannot_receive', 'loses']) {
    await attempt(nft(`delete element ip vpc ${set} { ${link} }\n`, name))
  }
  await attempt(nft(`delete chain ip vpc loses_${link}\n`, name))
  await attempt(run('tc', ['-n', name, 'qdisc', 'del', 'dev', link, 'root']))
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
