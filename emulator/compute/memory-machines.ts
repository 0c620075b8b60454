// VMs without a body: they are alive when they were booted. For tests and simulation.

import { CannotCause, type MachineExit, type Machines, type VirtualMachine } from './machines.ts'

export interface MemoryMachines extends Machines {
  /** Makes a VM go by itself, as a broken host or a guest's own shutdown would. */
  crash(name: string, how?: MachineExit['how']): void
  /** Boots fail from now on with this text (undefined: they succeed again). */
  failBoots(why: string | undefined): void
  running(): VirtualMachine[]
  /** Names of those that stand still. */
  frozen(): string[]
}

export function createMemoryMachines(): MemoryMachines {
  const running = new Map<string, VirtualMachine>()
  const frozen = new Set<string>()
  const listeners: ((exit: MachineExit) => void)[] = []
  let failure: string | undefined
  function crash(name: string, how: MachineExit['how'] = 'crash'): void {
    const vm = running.get(name)
    if (!vm) throw new Error(`no machine ${name} runs`)
    running.delete(name)
    frozen.delete(name)
    for (const listener of listeners) listener({ name, id: vm.id, how })
  }

  return {
    async boot(vm) {
      if (failure !== undefined) throw new Error(failure)
      running.set(vm.name, vm)
    },
    async stop(name) {
      running.delete(name)
    },
    async kill(name) {
      running.delete(name)
    },
    isAlive: (name) => running.has(name),
    async deleteDisk() {},
    onExit(listener) {
      listeners.push(listener)
    },
    async close() {
      running.clear()
    },
    faults: {
      freeze: (name) => void frozen.add(name),
      thaw: (name) => void frozen.delete(name),
      killAgent(name) {
        crash(name)
        return 'it went'
      },
      killDocker: () => cannot(),
      killPod: () => false,
      impair: async () => cannot(),
      heal: async () => false,
    },
    frozen: () => [...frozen],
    crash,
    failBoots(why) {
      failure = why
    },
    running: () => [...running.values()],
  }
}

function cannot(): never {
  throw new CannotCause('a VM that is only remembered has nothing that breaks')
}
