// VMs as process trees on loopback (isolation `none`): each is the real node agent in a process group
// of its own, with a metadata server of its own. When the emulator dies, however it dies, the agent
// sees its standard input close: that is the power cut for whatever is left.

import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { IdentitySigner } from '../google/identity.ts'
import { devicesOf } from './disk-media.ts'
import {
  CannotCause,
  type Impairment,
  type MachineExit,
  type Machines,
  type VirtualMachine,
} from './machines.ts'
import { startMetadataServer, type MetadataServer } from './metadata-server.ts'
import { findMarked, freezeTree, killTree, thawTree, type Tree } from './process-tree.ts'

export interface ProcessMachinesOptions {
  project: string
  projectNumber: string
  /** VMs' disks: `<dir>/vms/<name>`, with the agent's output in `agent.log`. */
  dir: string
  /** The program that is a VM: `[process.execPath, '…/agent/main.ts']`. */
  command: readonly string[]
  /** Environment beside what a VM always has: WHERRY_VPC_URL, WHERRY_IMAGES, PUBSUB_EMULATOR_HOST. */
  env: Record<string, string>
  identity: IdentitySigner
  clock: Clock
  log: Log
}

interface Running {
  vm: VirtualMachine
  child: ChildProcess
  metadata: MetadataServer
  exited: Promise<{ code: number | null }>
  /** It goes because it was told to. */
  isExpected: boolean
}

/** Marks what belongs to one VM, wherever it has gone. */
const MARK = 'WHERRY_VM'

export function createProcessMachines(options: ProcessMachinesOptions): Machines {
  const { log } = options
  const running = new Map<string, Running>()
  const listeners: ((exit: MachineExit) => void)[] = []

  async function boot(vm: VirtualMachine): Promise<void> {
    if (running.has(vm.name)) throw new Error(`${vm.name} runs already`)
    const disk = diskOf(options, vm.name)
    mkdirSync(disk, { recursive: true })
    await endLeftovers(disk)
    const metadata = await startMetadataServer({ ...options, ...vm })
    const output = openSync(join(disk, 'agent.log'), 'a')
    const [program = '', ...args] = options.command
    const child = spawn(program, args, {
      cwd: disk,
      detached: true,
      stdio: ['pipe', output, output],
      env: environmentOf(options, vm, disk, metadata.host),
    })
    closeSync(output)
    // The pipe is only there to close; a VM that goes first makes it fail.
    child.stdin?.on('error', () => {})
    const exited = new Promise<{ code: number | null }>((resolve) => {
      child.once('exit', (code) => resolve({ code }))
    })
    try {
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', () => resolve())
        child.once('error', reject)
      })
    } catch (error) {
      await metadata.close()
      throw error
    }
    const machine: Running = { vm, child, metadata, exited, isExpected: false }
    running.set(vm.name, machine)
    void exited.then(({ code }) => noticeExit(machine, code))
  }

  async function noticeExit(machine: Running, code: number | null): Promise<void> {
    if (machine.isExpected) return
    const { name, id } = machine.vm
    try {
      await clear(machine)
    } catch (error) {
      log.error('a VM left processes behind', { instance: name, error })
    }
    // Exit code 0 is a guest that turned itself off; anything else took the VM down.
    for (const listener of listeners) listener({ name, id, how: code === 0 ? 'shutdown' : 'crash' })
  }

  /** Nothing of it is left when this resolves. */
  async function clear(machine: Running): Promise<void> {
    machine.isExpected = true
    const { child, vm, metadata } = machine
    try {
      if (child.pid) await killTree(treeOf(machine))
      await machine.exited
    } finally {
      if (running.get(vm.name) === machine) running.delete(vm.name)
      await metadata.close()
    }
  }

  async function stop(name: string, graceMs: number): Promise<void> {
    const machine = running.get(name)
    if (!machine) return
    machine.isExpected = true
    machine.child.kill('SIGTERM')
    const patience = new AbortController()
    await Promise.race([machine.exited, options.clock.sleep(graceMs, patience.signal)])
    patience.abort()
    await clear(machine)
  }

  async function kill(name: string): Promise<void> {
    const machine = running.get(name)
    if (machine) await clear(machine)
  }

  function treeOf({ child, vm }: Running): Tree {
    return { root: child.pid, marks: marksOf(vm, diskOf(options, vm.name)) }
  }

  function withTree(name: string, act: (tree: Tree) => void): void {
    const machine = running.get(name)
    if (machine) act(treeOf(machine))
  }

  return {
    boot,
    stop,
    kill,
    isAlive: (name) => running.has(name),
    faults: {
      freeze: (name) => withTree(name, freezeTree),
      thaw: (name) => withTree(name, thawTree),
      killAgent(name) {
        running.get(name)?.child.kill('SIGKILL')
        return `the agent of ${name} is dead; it was the VM's first process, so the VM goes with it`
      },
      killDocker: () => cannot('no Docker Engine'),
      killPod(name, hostname) {
        const marks = [containerMark(diskOf(options, name)), `HOSTNAME=${hostname}\0`]
        const found = findMarked(marks)
        for (const pid of found) killIfThere(pid)
        return found.length > 0
      },
      impair: async (_name, { kind }) => cannot(`no ${PART_OF[kind]} of its own`),
      heal: async () => false,
    },
    deleteDisk: (name) => rm(diskOf(options, name), { recursive: true, force: true }),
    onExit(listener) {
      listeners.push(listener)
    },
    async close() {
      await Promise.all([...running.keys()].map(kill))
    },
  }
}

/** What each impairment is of. */
const PART_OF: Record<Impairment['kind'], string> = {
  partition: 'network',
  delay: 'network',
  loss: 'network',
  'full disk': 'disk',
  'slow disk': 'disk',
  'cpu load': 'processors',
}

function cannot(what: string): never {
  throw new CannotCause(
    `a VM has ${what} here: it is a group of processes. VMs of namespaces with Docker can do it; npm run setup:linux says what they need`,
  )
}

function diskOf({ dir }: ProcessMachinesOptions, name: string): string {
  return resolve(dir, 'vms', name)
}

function marksOf({ id }: VirtualMachine, disk: string): string[] {
  return [`${MARK}=${id}`, containerMark(disk)]
}

/** The agent marks its containers too (agent/runtime/process-tree.ts): with a hash of its folder. */
function containerMark(disk: string): string {
  const owner = createHash('sha256').update(disk).digest('hex').slice(0, 12)
  return `WHERRY_CONTAINER_ID=${owner}.`
}

/**
 * What ran on this disk when an earlier emulator was killed. Others end by themselves, but a VM that
 * was frozen then cannot notice.
 */
async function endLeftovers(disk: string): Promise<void> {
  const marks = [`WHERRY_STATE_DIR=${disk}\0`, containerMark(disk)]
  await killTree({ root: undefined, marks })
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone meanwhile: that is what is wanted.
  }
}

/** Nothing of this process's own environment reaches a VM. */
function environmentOf(
  options: ProcessMachinesOptions,
  vm: VirtualMachine,
  disk: string,
  metadataHost: string,
): Record<string, string> {
  return {
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    LANG: 'C.UTF-8',
    ...options.env,
    HOME: disk,
    GCE_METADATA_HOST: metadataHost,
    WHERRY_RUNTIME: 'process',
    WHERRY_NETWORK: 'loopback',
    WHERRY_STATE_DIR: disk,
    WHERRY_DEVICES: devicesOf(disk),
    [MARK]: vm.id,
  }
}
