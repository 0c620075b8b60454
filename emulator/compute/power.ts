// The life of each VM: powered on, asked to stop, cut off, gone. Steps of one VM follow each other;
// different VMs go in parallel. Every change of state is told to the log and to whoever listens.

import type { Context } from './context.ts'
import { GoogleError } from './google-error.ts'
import type { ActivityMethod, AuditLog, SystemMethod } from './audit-log.ts'
import type { Machines, VirtualMachine } from './machines.ts'
import { timestamp, type Instance } from './state.ts'
import type { Vpc } from './vpc.ts'

export interface Power {
  /** PROVISIONING → STAGING → RUNNING. Error: internalError when the machine does not start. */
  boot(path: string): Promise<void>
  /** → STOPPING → TERMINATED, the guest being asked first. */
  stop: (path: string) => Promise<void>
  /** As stop, and then the instance and its disk are gone. */
  remove(path: string): Promise<void>
  reset: (path: string) => Promise<void>
  /** Fault: the power is cut, as when the host breaks. */
  crash(path: string): Promise<void>
  /** Fault: Google takes a Spot VM back. */
  preempt(path: string): Promise<void>
  /** Calls `listener` after each change of a VM's state. */
  onChange(listener: (path: string) => void): void
  /** Calls `listener` before the record of a VM goes, and waits for it. */
  onRemoved(listener: (instance: Instance) => Promise<void>): void
}

interface Deps {
  ctx: Context
  machines: Machines
  vpc: Vpc
  audit: AuditLog
  /** How long a guest may take to shut down. Google's is 120 s, 30 s for Spot. */
  shutdownGraceMs: number
}

export function createPower(deps: Deps): Power {
  const { ctx, machines, audit } = deps
  const chains = new Map<string, Promise<unknown>>()
  const listeners: ((path: string) => void)[] = []
  /** Paths of VMs that Google is taking back. */
  const preempted = new Set<string>()
  const removals: ((instance: Instance) => Promise<void>)[] = []

  /** One step of a VM at a time. */
  function inTurn<T>(path: string, step: () => Promise<T>): Promise<T> {
    const before = chains.get(path) ?? Promise.resolve()
    const next = before.then(step, step)
    const settled = next.then(
      () => undefined,
      () => undefined,
    )
    chains.set(path, settled)
    void forget(path, settled)
    return next
  }

  async function forget(path: string, settled: Promise<undefined>): Promise<void> {
    await settled
    if (chains.get(path) === settled) chains.delete(path)
  }

  function changed(path: string): void {
    ctx.changed()
    for (const listener of listeners) listener(path)
  }

  function setStatus(path: string, status: Instance['status']): Instance | undefined {
    const instance = ctx.state.instances[path]
    if (!instance) return undefined
    instance.status = status
    if (status === 'RUNNING') instance.lastStartTimestamp = timestamp(ctx.clock.now())
    if (status === 'TERMINATED') instance.lastStopTimestamp = timestamp(ctx.clock.now())
    changed(path)
    return instance
  }

  async function powerOn(path: string): Promise<void> {
    const instance = setStatus(path, 'STAGING')
    if (!instance) return
    try {
      preempted.delete(path)
      await machines.boot(virtualMachine(ctx, path, instance, () => preempted.has(path)))
    } catch (error) {
      ctx.log.error('a machine does not start', { instance: instance.name, error })
      setStatus(path, 'TERMINATED')
      throw new GoogleError('internalError', `The machine ${instance.name} does not start.`)
    }
    setStatus(path, 'RUNNING')
  }

  async function powerOff(path: string, how: 'stop' | 'kill'): Promise<Instance | undefined> {
    const instance = how === 'stop' ? setStatus(path, 'STOPPING') : ctx.state.instances[path]
    if (!instance) return undefined
    if (how === 'stop') await machines.stop(instance.name, deps.shutdownGraceMs)
    else await machines.kill(instance.name)
    deps.vpc.dropOwner(instance.name)
    return setStatus(path, 'TERMINATED')
  }

  /**
   * It went without being asked. Google starts it again if its scheduling says so; a VM of a group is
   * left to the group, which makes it anew.
   */
  async function lost(path: string, method: SystemMethod): Promise<void> {
    const instance = ctx.state.instances[path]
    if (!instance) return
    deps.vpc.dropOwner(instance.name)
    setStatus(path, 'TERMINATED')
    audit.system(instance, method)
    if (method !== 'compute.instances.hostError' || !isRestarted(instance)) return
    audit.system(instance, 'compute.instances.automaticRestart')
    await powerOn(path)
  }

  machines.onExit(({ name, id, how }) => {
    const found = Object.entries(ctx.state.instances).find(
      ([, one]) => one.name === name && one.id === id,
    )
    if (!found) return
    const method =
      how === 'crash' ? 'compute.instances.hostError' : 'compute.instances.guestTerminate'
    ctx.log.warn('a VM went by itself', { instance: name, how })
    inTurn(found[0], () => lost(found[0], method)).catch((error: unknown) =>
      ctx.log.error('a lost VM could not be handled', { instance: name, error }),
    )
  })

  function told(path: string, method: ActivityMethod, when?: 'first' | 'last'): void {
    const instance = ctx.state.instances[path]
    if (instance) audit.activity(instance, method, when)
  }

  return {
    boot: (path) => inTurn(path, () => powerOn(path)),
    stop: (path) =>
      inTurn(path, async () => {
        if (ctx.state.instances[path]?.status === 'TERMINATED') return
        const off = powerOff(path, 'stop')
        told(path, 'v1.compute.instances.stop', 'first')
        await off
        told(path, 'v1.compute.instances.stop')
      }),
    remove: (path) =>
      inTurn(path, async () => {
        const instance = ctx.state.instances[path]
        if (!instance) return
        if (instance.status !== 'TERMINATED') {
          const off = powerOff(path, 'stop')
          told(path, 'v1.compute.instances.delete', 'first')
          await off
        }
        for (const removed of removals) await removed(instance)
        await machines.deleteDisk(instance.name)
        delete ctx.state.instances[path]
        audit.activity(instance, 'v1.compute.instances.delete')
        changed(path)
      }),
    reset: (path) =>
      inTurn(path, async () => {
        await powerOff(path, 'kill')
        told(path, 'v1.compute.instances.reset')
        await powerOn(path)
      }),
    crash: (path) =>
      inTurn(path, async () => {
        if (!(await powerOff(path, 'kill'))) return
        await lost(path, 'compute.instances.hostError')
      }),
    preempt: (path) =>
      inTurn(path, async () => {
        // The notice: the guest learns of it by ACPI and by its metadata, whoever listens by the log.
        preempted.add(path)
        const off = powerOff(path, 'stop')
        const instance = ctx.state.instances[path]
        if (instance) audit.system(instance, 'compute.instances.preempted')
        await off
      }),
    onChange(listener) {
      listeners.push(listener)
    },
    onRemoved(listener) {
      removals.push(listener)
    },
  }
}

function isRestarted({ scheduling, metadata }: Instance): boolean {
  return scheduling.automaticRestart && !metadata.items.some(({ key }) => key === 'created-by')
}

function virtualMachine(
  ctx: Context,
  path: string,
  instance: Instance,
  isPreempted: () => boolean,
): VirtualMachine {
  const nic = instance.networkInterfaces[0]
  return {
    name: instance.name,
    id: instance.id,
    internalIp: nic?.networkIP ?? '',
    podRange: nic?.aliasIpRanges[0]?.ipCidrRange ?? '',
    // Its metadata may have been changed since it was booted.
    describe: () => ctx.state.instances[path] ?? instance,
    isPreempted,
  }
}
