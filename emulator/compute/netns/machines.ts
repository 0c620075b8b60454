// VMs as sets of namespaces (isolation `netns`): each has its own network, process tree, mounts and
// control group, its own disk, a Docker Engine, and the real node agent. Its first process is
// vm-init.sh; the death of that process is the power cut. When the emulator dies, however it dies,
// the kernel kills its VMs; what cannot die by itself is swept by the next start (sweep.ts).

import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { IdentitySigner } from '../../google/identity.ts'
import { offsetIn } from '../address-plan.ts'
import { devicesOf } from '../disk-media.ts'
import { nameOf } from '../links.ts'
import type { MachineExit, Machines, VirtualMachine } from '../machines.ts'
import { startMetadataServer, type MetadataServer } from '../metadata-server.ts'
import { machineType } from '../places.ts'
import { createCgroup, type CgroupLimits } from './cgroups.ts'
import { ensureDisk } from './disks.ts'
import { dockerOptions } from './docker-options.ts'
import { createNetnsFaults } from './machine-faults.ts'
import { createNetworkFaults, type NetworkFaults } from './network-faults.ts'
import { DYING_WITH_US, inNetns } from './run.ts'
import { initOf, type Running } from './running.ts'
import type { Slot } from './slots.ts'
import { emptyCgroup } from './sweep.ts'
import {
  addVmNetwork,
  cutVmLink,
  netnsOf,
  registryOf,
  removeVmNetwork,
  type VmNetwork,
} from './vpc-namespace.ts'
import { METADATA_IP } from './vpc-rules.ts'

export interface NetnsMachinesOptions {
  slot: Slot
  project: string
  projectNumber: string
  /** VMs' disks and logs: `<dir>/vms/<name>`. */
  dir: string
  /** The agent: `[process.execPath, '…/agent/main.ts']`. */
  command: readonly string[]
  /** Environment of the agent beside what a VM always has. */
  env: Record<string, string>
  identity: IdentitySigner
  clock: Clock
  log: Log
}

const INIT = join(import.meta.dirname, 'vm-init.sh')
/** Joins the groups whose files are named, then becomes the command after them. */
const JOIN = 'n=$1; shift; while ((n-- > 0)); do echo $$ >"$1" || exit 1; shift; done; exec "$@"'
const UNSHARE = [
  'unshare',
  '--pid',
  '--mount',
  '--uts',
  '--ipc',
  '--fork',
  '--kill-child=KILL',
  '--mount-proc',
]
const BOOT_MS = 60_000

export function createNetnsMachines(options: NetnsMachinesOptions): Machines {
  const { slot, log } = options
  const running = new Map<string, Running>()
  const faults = createNetworkFaults(slot)
  const listeners: ((exit: MachineExit) => void)[] = []

  async function boot(vm: VirtualMachine): Promise<void> {
    if (running.has(vm.name)) throw new Error(`${vm.name} runs already`)
    const folder = folderOf(options, vm.name)
    mkdirSync(folder, { recursive: true })
    const image = await ensureDisk(folder, vm.describe())
    const network = networkOf(slot, vm)
    const metadata = await startMetadataServer({
      ...options,
      ...vm,
      listenOn: slot.uplink.host,
    })
    const cgroup = `${slot.name}/vm${network.number}`
    const made: Omit<Running, 'child' | 'exited'> = {
      vm,
      network,
      cgroup,
      metadata,
      isExpected: false,
    }
    try {
      await addVmNetwork(slot, network, portOf(metadata))
      const joins = createCgroup(cgroup, limitsOf(vm))
      const child = startInit(options, made, joins, image)
      const exited = new Promise<number | null>((done) => {
        child.once('exit', (code) => done(code))
      })
      const machine: Running = { ...made, child, exited }
      await untilBooted(machine)
      running.set(vm.name, machine)
      void exited.then((code) => noticeExit(machine, code))
    } catch (error) {
      await takeAway(slot, faults, made)
      throw error
    }
  }

  async function noticeExit(machine: Running, code: number | null): Promise<void> {
    if (machine.isExpected) return
    const { name, id } = machine.vm
    await clear(machine).catch((error: unknown) =>
      log.error('a VM left something behind', { instance: name, error }),
    )
    // Exit code 0 is a guest that turned itself off; anything else took the VM down.
    for (const listener of listeners) listener({ name, id, how: code === 0 ? 'shutdown' : 'crash' })
  }

  /** Nothing of it is left when this resolves. */
  async function clear(machine: Running): Promise<void> {
    machine.isExpected = true
    try {
      // First the cable: a kernel that survives would say goodbye for every process that dies.
      await cutVmLink(slot, machine.network)
      killInit(machine)
      await takeAway(slot, faults, machine)
      await machine.exited
    } finally {
      if (running.get(machine.vm.name) === machine) running.delete(machine.vm.name)
    }
  }

  async function stop(name: string, graceMs: number): Promise<void> {
    const machine = running.get(name)
    if (!machine) return
    machine.isExpected = true
    const init = initOf(machine)
    if (init) process.kill(init, 'SIGTERM')
    const patience = new AbortController()
    await Promise.race([machine.exited, options.clock.sleep(graceMs, patience.signal)])
    patience.abort()
    await clear(machine)
  }

  async function kill(name: string): Promise<void> {
    const machine = running.get(name)
    if (machine) await clear(machine)
  }

  return {
    boot,
    stop,
    kill,
    isAlive: (name) => running.has(name),
    deleteDisk: (name) => rm(folderOf(options, name), { recursive: true, force: true }),
    onExit(listener) {
      listeners.push(listener)
    },
    faults: createNetnsFaults(faults, (name) => running.get(name)),
    async close() {
      await Promise.all([...running.keys()].map(kill))
    },
  }
}

function folderOf({ dir }: NetnsMachinesOptions, name: string): string {
  return resolve(dir, 'vms', name)
}

function networkOf({ plan }: Slot, vm: VirtualMachine): VmNetwork {
  const number = offsetIn(plan, 'vms', vm.internalIp)
  if (number === undefined) throw new Error(`${vm.internalIp} is not an address of this VPC`)
  const { internalIp, podRange } = vm
  const externalIp = vm.describe().networkInterfaces[0]?.accessConfigs[0]?.natIP
  const isPublic = externalIp !== undefined && offsetIn(plan, 'external', externalIp) !== undefined
  return { number, internalIp, podRange, externalIp: isPublic ? externalIp : undefined }
}

function limitsOf(vm: VirtualMachine): CgroupLimits {
  const type = machineType(nameOf(vm.describe().machineType)) ?? { guestCpus: 2, memoryMb: 4096 }
  return { cpus: type.guestCpus, memoryBytes: type.memoryMb * 2 ** 20 }
}

function portOf({ host }: MetadataServer): number {
  return Number(host.split(':')[1])
}

/** Starts the VM's first process. Nothing of this process's own environment reaches it. */
function startInit(
  options: NetnsMachinesOptions,
  { vm, network, cgroup }: Omit<Running, 'child' | 'exited'>,
  joins: readonly string[],
  image: string,
): ChildProcess {
  const folder = folderOf(options, vm.name)
  const serial = openSync(join(folder, 'serial.log'), 'a')
  const { slot } = options
  const joining = ['bash', '-c', JOIN, 'join', String(joins.length), ...joins]
  const [program, ...args] = [
    ...DYING_WITH_US,
    ...joining,
    ...inNetns(netnsOf(slot, network)),
    ...UNSHARE,
    'bash',
    INIT,
  ]
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', serial],
    env: {
      PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      LANG: 'C.UTF-8',
      HOME: '/root',
      ...options.env,
      GCE_METADATA_HOST: METADATA_IP,
      WHERRY_RUNTIME: 'docker',
      WHERRY_NETWORK: 'kernel',
      WHERRY_DOCKER_SOCKET: '/run/docker.sock',
      WHERRY_STATE_DIR: '/run/stateful/agent',
      WHERRY_DEVICES: devicesOf(folder),
      VM_NAME: vm.name,
      VM_DISK: image,
      VM_CGROUP: cgroup,
      VM_LOGS: folder,
      VM_DOCKER: dockerOptions({ cgroup, registry: registryOf(slot) }).join('\n'),
      VM_AGENT: options.command.join('\n'),
    },
  })
  closeSync(serial)
  return child
}

async function untilBooted({ vm, child, exited }: Running): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject)
    void exited.then((code) => reject(new Error(`${vm.name} ended with ${code} while it booted`)))
  })
  const booted = new Promise<void>((done) => {
    if (!child.stdout) return
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'booted') done()
    })
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${vm.name} does not boot`)), BOOT_MS)
  })
  await Promise.race([booted, failed, late]).finally(() => clearTimeout(timer))
}

function killInit(machine: Running): void {
  const init = initOf(machine)
  if (init) process.kill(init, 'SIGKILL')
}

async function takeAway(
  slot: Slot,
  faults: NetworkFaults,
  { network, cgroup, metadata }: Pick<Running, 'network' | 'cgroup' | 'metadata'>,
): Promise<void> {
  await emptyCgroup(cgroup)
  await faults.heal(network)
  await removeVmNetwork(slot, network, portOf(metadata))
  await metadata.close()
}
