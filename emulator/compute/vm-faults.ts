// Faults of VMs on request, by the VM's name: for `npm run fault` and for tests.

import type { Context, Shortage } from './context.ts'
import { GoogleError } from './google-error.ts'
import { nameOf } from './links.ts'
import type { Impairment, Machines } from './machines.ts'
import type { Power } from './power.ts'

export interface VmFaults {
  /** The host breaks. */
  killVm(name: string): Promise<void>
  /** Somebody stops the VM. */
  stopVm(name: string): Promise<void>
  /** Google takes the VM back. */
  preempt(name: string): Promise<void>
  /** The VM stands still until it is resumed. */
  hangVm(name: string): void
  resumeVm(name: string): void
  /** The VM's agent, or its Docker Engine, dies. Answers what becomes of it. Error: CannotCause. */
  killProgram(name: string, program: 'agent' | 'docker'): string
  /** A pod's containers on this VM die. False when it has none there. */
  killPod(name: string, hostname: string): boolean
  /** Error: CannotCause where VMs are processes. */
  impair(name: string, what: Impairment): Promise<void>
  /** Google's health checks of the VM fail and succeed in turns, until heal. */
  flapChecks(name: string): void
  /** New VMs are refused with Google's error until it ends (undefined). */
  setShortage(shortage: Shortage | undefined): void
  /** Undoes what lasts; answers a phrase for each thing. */
  heal(): Promise<string[]>
  /** Every VM that there is, by name. */
  vms(): VmState[]
}

export interface VmState {
  name: string
  status: string
  isHung: boolean
}

export function createVmFaults(ctx: Context, machines: Machines, power: Power): VmFaults {
  const { state, project } = ctx
  /** Start times of the VMs that stand still. */
  const hung = new Map<string, string | undefined>()

  const pathOfVm = (name: string): string => {
    const found = Object.entries(state.instances).find(([, instance]) => instance.name === name)
    if (found) return found[0]
    throw new GoogleError(
      'notFound',
      `The resource 'projects/${project}/zones/-/instances/${name}' was not found`,
    )
  }
  const running = (name: string): string => {
    const status = state.instances[pathOfVm(name)]?.status
    if (machines.isAlive(name)) return name
    throw new GoogleError('resourceNotReady', `The VM ${name} does not run: it is ${status}`)
  }
  const resumeVm = (name: string): void => {
    machines.faults.thaw(running(name))
    hung.delete(name)
  }
  const vms = (): VmState[] =>
    Object.values(state.instances)
      .map(({ name, status, lastStartTimestamp }) => ({
        name,
        status,
        // Another start is another machine.
        isHung: hung.has(name) && hung.get(name) === lastStartTimestamp,
      }))
      .toSorted((left, right) => (left.name < right.name ? -1 : 1))

  return {
    killVm: async (name) => power.crash(pathOfVm(name)),
    stopVm: async (name) => power.stop(pathOfVm(name)),
    preempt: async (name) => power.preempt(pathOfVm(name)),
    hangVm(name) {
      machines.faults.freeze(running(name))
      hung.set(name, state.instances[pathOfVm(name)]?.lastStartTimestamp)
    },
    resumeVm,
    killProgram: (name, program) =>
      program === 'agent'
        ? machines.faults.killAgent(running(name))
        : machines.faults.killDocker(running(name)),
    killPod: (name, hostname) => machines.faults.killPod(running(name), hostname),
    impair: async (name, what) => machines.faults.impair(running(name), what),
    flapChecks: (name) => void ctx.flapping.add(pathOfVm(running(name))),
    setShortage(shortage) {
      ctx.shortage = shortage
    },
    async heal() {
      const done: string[] = []
      for (const { name } of vms().filter(({ isHung }) => isHung)) {
        resumeVm(name)
        done.push(`${name} goes on`)
      }
      for (const { name } of vms()) {
        if (machines.isAlive(name) && (await machines.faults.heal(name)))
          done.push(`${name} is well`)
      }
      for (const path of ctx.flapping) done.push(`checks of ${nameOf(path)} are steady`)
      ctx.flapping.clear()
      if (ctx.shortage) done.push('new VMs are to be had again')
      ctx.shortage = undefined
      return done
    },
    vms,
  }
}
