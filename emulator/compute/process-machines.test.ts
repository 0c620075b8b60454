// VMs as process trees: what they are given, and that nothing of them survives a power cut.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createIdentitySigner } from '#emulator/google/identity.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { anInstance } from '#test/support/an-instance.ts'
import type { MachineExit, Machines, VirtualMachine } from './machines.ts'
import { createProcessMachines } from './process-machines.ts'

const FAKE_AGENT = join(import.meta.dirname, '../../test/support/fake-agent.mjs')

let dir: string
let machines: Machines
let exits: MachineExit[]

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-machines-'))
  machines = await openMachines()
  exits = []
  machines.onExit((exit) => exits.push(exit))
})
afterEach(async () => {
  await machines.close()
  rmSync(dir, { recursive: true, force: true })
})

async function openMachines(): Promise<Machines> {
  return createProcessMachines({
    project: 'demo',
    projectNumber: '1234',
    dir,
    command: [process.execPath, FAKE_AGENT],
    env: { WHERRY_IMAGES: '/images' },
    identity: await createIdentitySigner(join(dir, 'identity.pem')),
    clock: createSystemClock(),
    log: createMemoryLog(),
  })
}

interface Report {
  pid: number
  container: number
  /** Where it answers. */
  port: number
  name: string
  ip: string
  env: Record<string, string>
}

const VM: VirtualMachine = {
  name: 'vm-1',
  id: '17953651370000000071',
  internalIp: '10.128.0.5',
  podRange: '10.4.5.0/24',
  describe: () => anInstance({ name: 'vm-1' }),
  isPreempted: () => false,
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`)
    await sleep(10)
  }
}

/** Boots and waits for the agent's report. */
async function booted(): Promise<Report> {
  const file = join(dir, 'vms/vm-1/report.json')
  rmSync(file, { force: true })
  await machines.boot(VM)
  return reported()
}

/** Zombies that nobody has buried yet do not count. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

test('a VM is told who it is, and nothing of this process', async () => {
  const { env, name, ip } = await booted()
  expect({ name, ip }).toEqual({ name: 'vm-1', ip: '10.128.0.5' })
  expect(env).toMatchObject({
    WHERRY_RUNTIME: 'process',
    WHERRY_NETWORK: 'loopback',
    WHERRY_STATE_DIR: join(dir, 'vms/vm-1'),
    WHERRY_IMAGES: '/images',
    GCE_METADATA_HOST: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
  })
  expect(env).not.toHaveProperty('VITEST')
  expect(machines.isAlive('vm-1')).toBe(true)
})

test('a power cut takes the whole tree, also what left its process group', async () => {
  const { pid, container } = await booted()
  expect([pid, container].map(isRunning)).toEqual([true, true])
  await machines.kill('vm-1')
  expect([pid, container].map(isRunning)).toEqual([false, false])
  expect(machines.isAlive('vm-1')).toBe(false)
  expect(exits).toEqual([])
})

test('a stop asks the guest first', async () => {
  const { pid, container } = await booted()
  await machines.stop('vm-1', 10_000)
  expect(readFileSync(join(dir, 'vms/vm-1/stopped'), 'utf8')).toBe('politely')
  expect([pid, container].map(isRunning)).toEqual([false, false])
  expect(exits).toEqual([])
})

test('a VM whose agent is killed is gone as a whole, and that is said', async () => {
  const { pid, container } = await booted()
  process.kill(pid, 'SIGKILL')
  await until('the exit is noticed', () => exits.length > 0)
  expect(exits).toEqual([{ name: 'vm-1', id: VM.id, how: 'crash' }])
  expect(isRunning(container)).toBe(process.platform !== 'linux')
  expect(machines.isAlive('vm-1')).toBe(false)
})

test('a guest that turns itself off is not a crash', async () => {
  const { pid } = await booted()
  process.kill(pid, 'SIGTERM')
  await until('the exit is noticed', () => exits.length > 0)
  expect(exits).toMatchObject([{ how: 'shutdown' }])
})

test('the disk outlives a stop and goes with deleteDisk', async () => {
  await booted()
  await machines.stop('vm-1', 10_000)
  await booted()
  expect(readFileSync(join(dir, 'vms/vm-1/boots'), 'utf8')).toBe('2')
  await machines.kill('vm-1')
  await machines.deleteDisk('vm-1')
  expect(existsSync(join(dir, 'vms/vm-1'))).toBe(false)
})

test('a program that cannot be started is an error of boot', async () => {
  const broken = createProcessMachines({
    project: 'demo',
    projectNumber: '1234',
    dir,
    command: [join(dir, 'nothing')],
    env: {},
    identity: await createIdentitySigner(join(dir, 'identity.pem')),
    clock: createSystemClock(),
    log: createMemoryLog(),
  })
  await expect(broken.boot(VM)).rejects.toThrow('ENOENT')
  expect(broken.isAlive('vm-1')).toBe(false)
})

/** True when it answers within a second. */
async function answers({ port }: Report): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(1000),
    })
    return response.ok
  } catch {
    return false
  }
}

function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
}

test('a frozen VM answers nobody, is alive, and goes on when it is thawed', async () => {
  const report = await booted()
  expect(await answers(report)).toBe(true)
  machines.faults.freeze('vm-1')
  expect(await answers(report)).toBe(false)
  if (process.platform === 'linux') expect(stateOf(report.container)).toBe('T')
  expect([machines.isAlive('vm-1'), exits]).toEqual([true, []])
  machines.faults.thaw('vm-1')
  expect(await answers(report)).toBe(true)
})

test('a frozen VM can be killed', async () => {
  const { pid, container } = await booted()
  machines.faults.freeze('vm-1')
  await machines.kill('vm-1')
  expect([pid, container].map(isRunning)).toEqual([false, false])
})

test('the agent killed as a fault takes the VM with it', async () => {
  await booted()
  machines.faults.killAgent('vm-1')
  await until('the exit is noticed', () => exits.length > 0)
  expect(exits).toMatchObject([{ how: 'crash' }])
})

test.runIf(process.platform === 'linux')('a pod is killed by its host name, alone', async () => {
  const { pid, container } = await booted()
  expect(machines.faults.killPod('vm-1', 'pod')).toBe(false)
  expect(machines.faults.killPod('vm-1', 'pod-1')).toBe(true)
  await until('the container has ended', () => !isRunning(container))
  expect(isRunning(pid)).toBe(true)
})

test.runIf(process.platform === 'linux')(
  'a VM that was frozen when its emulator was killed ends at the next boot',
  async () => {
    const emulator = emulatorProcess()
    const { pid, container } = await reported()
    // The whole VM, as freeze would.
    for (const one of [pid, container]) process.kill(one, 'SIGSTOP')
    emulator.kill('SIGKILL')
    await until('the emulator has ended', () => !isRunning(emulator.pid ?? 0))
    expect([pid, container].map(isRunning)).toEqual([true, true])
    await booted()
    expect([pid, container].map(isRunning)).toEqual([false, false])
  },
)

test('when the emulator is killed, its VMs and their containers end', async () => {
  const emulator = emulatorProcess()
  const { pid, container } = await reported()
  emulator.kill('SIGKILL')
  await until('all have ended', () => ![pid, container].some(isRunning))
})

/** Another emulator, with this VM. */
function emulatorProcess(): ChildProcess {
  const script = `
    import { createProcessMachines } from '${join(import.meta.dirname, 'process-machines.ts')}'
    import { createIdentitySigner } from '${join(import.meta.dirname, '../google/identity.ts')}'
    import { anInstance } from '${join(import.meta.dirname, '../../test/support/an-instance.ts')}'
    const clock = { now: () => Date.now(), sleep: (ms) => new Promise((done) => setTimeout(done, ms)) }
    const log = { info() {}, warn() {}, error() {} }
    const machines = createProcessMachines({ project: 'demo', projectNumber: '1', dir: ${JSON.stringify(dir)},
      command: [process.execPath, ${JSON.stringify(FAKE_AGENT)}], env: {}, clock, log,
      identity: await createIdentitySigner(${JSON.stringify(join(dir, 'identity.pem'))}) })
    await machines.boot({ ...${JSON.stringify({ ...VM, describe: undefined })}, describe: () => anInstance({ name: 'vm-1' }) })
  `
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
}

async function reported(): Promise<Report> {
  const file = join(dir, 'vms/vm-1/report.json')
  await until('the agent reports', () => existsSync(file))
  return JSON.parse(readFileSync(file, 'utf8'))
}
