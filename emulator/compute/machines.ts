// What an emulated VM is made of: the port between Compute Engine's emulator (names, states, groups)
// and the drivers that give a VM a body. Drivers: netns/machines.ts (namespaces, a Docker Engine),
// process-machines.ts (a VM is a process tree on loopback), memory-machines.ts (nothing runs; for tests).

import type { Instance } from './state.ts'

export interface VirtualMachine {
  name: string
  /** Google's id: with the name, one incarnation. */
  id: string
  /** `10.128.0.5`. */
  internalIp: string
  /** `10.4.5.0/24`. */
  podRange: string
  /** The instance as Compute Engine shows it now: its metadata may change while it runs. */
  describe: () => Instance
  /** Google is taking it back: its metadata server says so. */
  isPreempted: () => boolean
}

/** A VM that went without being asked to. */
export interface MachineExit {
  name: string
  id: string
  /** `crash`: as when the host breaks; `shutdown`: the guest turned itself off. */
  how: 'crash' | 'shutdown'
}

/** What may be wrong with a VM that runs. */
export type Impairment =
  /** Its packets are lost: those that it sends, those that it should get, or both. */
  | { kind: 'partition'; direction: 'both' | 'send' | 'receive' }
  /** Packets for it take this much longer. */
  | { kind: 'delay'; ms: number }
  | { kind: 'loss'; percent: number }
  | { kind: 'full disk' }
  /** All that it reads and writes. */
  | { kind: 'slow disk'; bytesPerSecond: number }
  /** So many programs take all the processor time that they get, beside the agent. */
  | { kind: 'cpu load'; programs: number }

export interface Machines {
  /** Powers it on with the disk of that name; resolves when it runs. Rejects when it cannot. */
  boot(vm: VirtualMachine): Promise<void>
  /** Asks the guest to shut down, and cuts the power after `graceMs`. Nothing of it runs afterwards. */
  stop(name: string, graceMs: number): Promise<void>
  /** Cuts the power: the whole tree at once. */
  kill(name: string): Promise<void>
  isAlive(name: string): boolean
  deleteDisk(name: string): Promise<void>
  /** Called for VMs that went by themselves; never for `stop` and `kill`. */
  onExit(listener: (exit: MachineExit) => void): void
  faults: MachineFaults
  /** Kills all. */
  close(): Promise<void>
}

/** What can go wrong with one that runs. Where a driver has nothing to do it with: CannotCause. */
export interface MachineFaults {
  /** It stands still, as when its kernel hangs: alive for the cloud, deaf for everybody. */
  freeze(name: string): void
  /** It goes on where it was. */
  thaw(name: string): void
  /** Its agent dies. Answers what becomes of it, for people. */
  killAgent(name: string): string
  /** Its Docker Engine dies. */
  killDocker(name: string): string
  /** The containers of a pod (known by its host name) die. False when none runs there. */
  killPod(name: string, hostname: string): boolean
  impair(name: string, what: Impairment): Promise<void>
  /** Undoes every impairment; true when there was one. */
  heal(name: string): Promise<boolean>
}

/** These VMs have nothing that could break in this way. */
export class CannotCause extends Error {
  override readonly name = 'CannotCause'
}
