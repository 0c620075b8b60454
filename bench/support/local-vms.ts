// The VMs of a local system, seen from the machine: their processes, networks and Docker Engines.
// Needs Linux and root, as such VMs do.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface LocalVm {
  name: string
  /** Its first process, as this machine numbers it. */
  init: number
  /** Where its Docker Engine listens, as `docker --host` takes it. */
  engine: string
  /** A command that runs the one after it in the VM's network. */
  enterNetwork: readonly string[]
}

const PROC = '/proc'

/** The VMs that run of the system in this home folder, by name. */
export function localVms(home: string): LocalVm[] {
  const folder = join(home, 'vms')
  return processes()
    .filter((pid) => innerPid(pid) === 1)
    .flatMap((init): LocalVm[] => {
      const logs = environmentOf(init)['VM_LOGS']
      if (logs === undefined || dirname(logs) !== folder) return []
      return [
        {
          name: basename(logs),
          init,
          engine: `unix://${PROC}/${init}/root/run/docker.sock`,
          enterNetwork: ['nsenter', `--net=${PROC}/${init}/ns/net`, '--'],
        },
      ]
    })
    .sort((left, right) => left.name.localeCompare(right.name))
}

/** The VM's node agent, as this machine numbers it. Error: it does not run. */
export function agentOf({ name, init }: LocalVm): number {
  const inner = Number(readFileSync(`${PROC}/${init}/root/run/vm/agent.pid`, 'utf8'))
  const space = pidSpace(init)
  const found = processes().find((pid) => innerPid(pid) === inner && pidSpace(pid) === space)
  if (found === undefined) throw new Error(`the agent of ${name} does not run`)
  return found
}

/** The VM's Docker Engine with what it needs to keep containers; not the containers themselves. */
export function engineProcesses({ init }: LocalVm): number[] {
  const space = pidSpace(init)
  const names = /^(dockerd|containerd|containerd-shim.*)$/
  return processes().filter(
    (pid) => pidSpace(pid) === space && names.test(read(`${PROC}/${pid}/comm`).trim()),
  )
}

function processes(): number[] {
  return readdirSync(PROC)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** The number that a process has in its own namespace. */
function innerPid(pid: number): number | undefined {
  const last = /^NSpid:.*\s(\d+)$/m.exec(read(`${PROC}/${pid}/status`))?.[1]
  return last === undefined ? undefined : Number(last)
}

function pidSpace(pid: number): string {
  try {
    return readlinkSync(`${PROC}/${pid}/ns/pid`)
  } catch {
    return ''
  }
}

function environmentOf(pid: number): Record<string, string> {
  const pairs = read(`${PROC}/${pid}/environ`).split('\0')
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** Empty when the process has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
