// What can go wrong with the disk and the processors of a VM of namespaces: full, slow, busy.

import { statSync } from 'node:fs'
import { CannotCause, type Impairment } from '../machines.ts'
import { joinFiles, throttleDisk } from './cgroups.ts'
import { initOf, runInVm, type Running } from './running.ts'

type ResourceImpairment = Extract<Impairment, { kind: 'full disk' | 'slow disk' | 'cpu load' }>

const STATEFUL = '/run/stateful'
const FILLER = `${STATEFUL}/filler`
const LOAD = '/run/vm/load.pids'

/** Takes room without writing to it, in ever smaller pieces until not one is left. */
const FILL = `mkdir -p ${FILLER}; n=0
for ((size = 1 << 36; size >= 4096; size /= 2)); do
  while fallocate -l $size ${FILLER}/$n 2>/dev/null; do n=$((n + 1)); done
  rm -f ${FILLER}/$n
done`

/** Programs that only count, beside the agent and Docker Engine: $1 of them; $2… the groups to join. */
const COUNT = `count=$1; shift
for file; do echo 0 >"$file" || exit 1; done
for ((n = 0; n < count; n++)); do
  bash -c 'while :; do :; done' </dev/null >/dev/null 2>&1 &
  echo $! >>${LOAD}
done`
const END_COUNT = `[[ -e ${LOAD} ]] || exit 0
kill -KILL $(cat ${LOAD}) 2>/dev/null
rm -f ${LOAD}`

export function impairResources(machine: Running, what: ResourceImpairment): void {
  if (what.kind === 'full disk') {
    inBash(machine, FILL)
    return
  }
  if (what.kind === 'cpu load') {
    inBash(machine, END_COUNT)
    inBash(machine, COUNT, String(what.programs), ...joinFiles(machine.cgroup))
    return
  }
  if (throttleDisk(machine.cgroup, diskOf(machine), what.bytesPerSecond)) return
  throw new CannotCause('the kernel of this machine cannot slow a disk down: it throttles none')
}

export function healResources(machine: Running): void {
  try {
    throttleDisk(machine.cgroup, diskOf(machine), undefined)
    inBash(machine, END_COUNT)
    runInVm(machine, ['rm', '-rf', FILLER])
  } catch (error) {
    // Who was silent for long is made anew by its cluster: a VM that has gone meanwhile needs no healing.
    if (initOf(machine)) throw error
  }
}

function inBash(machine: Running, script: string, ...args: string[]): void {
  runInVm(machine, ['bash', '-c', script, 'bash', ...args])
}

/** The device of the VM's disk as the kernel numbers it: `7:3`. */
function diskOf(machine: Running): string {
  const { dev } = statSync(`/proc/${initOf(machine)}/root${STATEFUL}`)
  // As glibc packs it: https://man7.org/linux/man-pages/man3/makedev.3.html
  return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`
}
