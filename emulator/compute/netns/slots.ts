// Which part of this machine one emulator may use: its address ranges, and the names of its namespaces,
// links and control groups. Who holds a slot listens on an abstract socket of that number for as long
// as it lives; so the kernel gives it back however its holder dies.

import { createServer, type Server } from 'node:net'
import { addressAt, rangeOf, type AddressPlan } from '../address-plan.ts'
import { run } from './run.ts'

export interface Slot {
  number: number
  /** `wherry0`: the VPC's namespace, its link on this machine, the control groups. */
  name: string
  plan: AddressPlan
  /** The link between this machine and the VPC. */
  uplink: Uplink
  release(): Promise<void>
}

export interface Uplink {
  host: string
  /** A second address of this machine: health checks come from it. */
  prober: string
  vpc: string
  bits: number
}

const SLOTS = 16
const KINDS = ['vms', 'pods', 'external', 'balancers'] as const

/**
 * The first free slot whose addresses this machine does not use itself, `wish` before all others.
 * `sweep` is called for it, and for every other slot that nobody holds, to take away what an emulator
 * that was killed has left.
 */
export async function claimSlot(
  sweep: (name: string) => Promise<void>,
  wish?: number,
): Promise<Slot> {
  const numbers = Array.from({ length: SLOTS }, (_, number) => number)
  if (wish !== undefined)
    numbers.sort((left, right) => Number(right === wish) - Number(left === wish))
  let mine: Slot | undefined
  for (const number of numbers) {
    const lock = await listen(`\0wherry-slot-${number}`)
    if (!lock) continue
    await sweep(nameOf(number))
    if (!mine && !(await isInUse(number))) mine = slotOf(number, lock)
    else await close(lock)
  }
  if (mine) return mine
  throw new Error(`all ${SLOTS} slots of this machine are in use by other emulators`)
}

function nameOf(number: number): string {
  return `wherry${number}`
}

function slotOf(number: number, lock: Server): Slot {
  return {
    number,
    name: nameOf(number),
    plan: planOf(number),
    uplink: uplinkOf(number),
    release: () => close(lock),
  }
}

/** VMs and pods from where GKE has them; public addresses from the ranges for benchmarks (RFC 2544). */
export function planOf(number: number): AddressPlan {
  return {
    vms: addressAt('10.128.0.0', number * 2 ** 12),
    pods: addressAt('10.4.0.0', number * 2 ** 18),
    external: addressAt('198.19.0.0', number * 2 ** 10),
    balancers: addressAt('198.18.0.0', number * 2 ** 8),
    host: uplinkOf(number).host,
  }
}

function uplinkOf(number: number): Uplink {
  const net = `10.127.${number}`
  return { host: `${net}.1`, prober: `${net}.2`, vpc: `${net}.6`, bits: 29 }
}

/** A route of this machine leads into one of the ranges: somebody else's network. */
async function isInUse(number: number): Promise<boolean> {
  const plan = planOf(number)
  const { host, bits } = uplinkOf(number)
  for (const range of [...KINDS.map((kind) => rangeOf(plan, kind)), `${host}/${bits}`]) {
    if ((await run('ip', ['-4', 'route', 'show', 'root', range])).trim()) return true
  }
  return false
}

function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', () => resolve(undefined))
    server.listen(path, () => resolve(server))
    server.unref()
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}
