// The emulator as a whole, with VMs that are real processes: traffic, health, faults, restarts.

import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createIdentitySigner, type IdentitySigner } from '#emulator/google/identity.ts'
import { serve, type RunningServer } from '#emulator/serve.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import type { InstanceGroupSpec, LoadBalancerSpec } from '#shared/ports/compute.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'
import { createProcessMachines } from './process-machines.ts'
import { createVpc, type Vpc } from './vpc.ts'

const FAKE_AGENT = join(import.meta.dirname, '../../test/support/fake-agent.mjs')

const GROUP: InstanceGroupSpec = {
  name: 'gke-c-pool-12345678-grp',
  zone: 'us-east1-c',
  size: 2,
  baseInstanceName: 'gke-c-pool-12345678',
  machineType: 'e2-medium',
  diskSizeGb: 10,
  spot: false,
  labels: { 'wherry-cluster': 'c' },
  metadata: {},
  healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
}
const BALANCER: LoadBalancerSpec = {
  name: 'a123',
  region: 'us-east1',
  protocol: 'TCP',
  ports: [28_080],
  groups: [{ name: GROUP.name, zone: GROUP.zone }],
  healthCheck: GROUP.healthCheck,
  sessionAffinity: 'NONE',
  sourceRanges: [],
}

let dir: string
let google: GoogleComputeAt
let identity: IdentitySigner
let vpc: Vpc
let vpcServer: RunningServer
let open: OpenComputeEmulator

beforeAll(async () => {
  google = await openGoogleCompute()
})
afterAll(() => google.close())
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-compute-'))
  identity = await createIdentitySigner(join(dir, 'identity.pem'))
  vpc = createVpc()
  vpcServer = await serve(vpc.app, { host: '127.0.0.1', port: 0 })
  await start()
})
afterEach(async () => {
  await open.close()
  await vpcServer.close(0)
  rmSync(dir, { recursive: true, force: true })
})

async function start(saved?: unknown, env: Record<string, string> = {}): Promise<void> {
  const clock = createSystemClock()
  const machines = createProcessMachines({
    project: PROJECT,
    projectNumber: '1234',
    dir,
    command: [process.execPath, FAKE_AGENT],
    env: { WHERRY_VPC_URL: vpcServer.url, ...env },
    identity,
    clock,
    log: createMemoryLog(),
  })
  open = await openComputeEmulator({ machines, vpc, saved })
  google.use(open.emulator)
}

const vms = () => google.compute.listInstances({})
/** Until every VM's health check is satisfied. */
const healthy = () =>
  expect
    .poll(async () => (await vms()).map(({ isHealthy }) => isHealthy), { timeout: 20_000 })
    .toEqual([true, true])

/** Asks the load balancer on a connection of its own; answers the VM's name. */
function ask(path = '/'): Promise<string> {
  const [listener] = open.emulator.listeners()
  if (!listener) throw new Error('no listener')
  return new Promise((resolve, reject) => {
    const to = { host: listener.host, port: listener.hostPort, agent: false, path }
    const request = get(to, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text.trim()))
    })
    request.on('error', reject)
  })
}

async function askers(count: number): Promise<Map<string, number>> {
  const answers = new Map<string, number>()
  for (let index = 0; index < count; index++) {
    const name = await ask()
    answers.set(name, (answers.get(name) ?? 0) + 1)
  }
  return answers
}

test('connections are spread over healthy VMs, and a dead one gets none', async () => {
  await google.compute.applyInstanceGroup(GROUP)
  const { address } = await google.compute.applyLoadBalancer(BALANCER)
  expect(address).toBe('127.0.1.1')
  await healthy()
  const [first, second] = (await vms()).map(({ name }) => name)
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  expect(await askers(10)).toEqual(
    new Map([
      [first, 5],
      [second, 5],
    ]),
  )
  const before = (await vms()).map(({ id }) => id)
  const death = open.emulator.killVm(first ?? '')
  // Only what was under way to it may fail; whoever connects anew is answered.
  const answers = await Promise.all([
    (async () => {
      const outcomes: string[] = []
      for (let index = 0; index < 50; index++) outcomes.push(await ask().catch(() => 'reset'))
      return outcomes
    })(),
    death,
  ])
  expect(answers[0].filter((answer) => answer === 'reset').length).toBeLessThanOrEqual(2)
  for (const answer of await askers(10)) expect([first, second]).toContain(answer[0])
  await healthy()
  const after = await vms()
  expect(after.map(({ name }) => name)).toEqual([first, second])
  expect(after[0]?.id).not.toBe(before[0])
  expect(after[1]?.id).toBe(before[1])
})

test('health transitions are in the log, of the group and of the load balancer', async () => {
  await google.compute.applyInstanceGroup(GROUP)
  await google.compute.applyLoadBalancer(BALANCER)
  await healthy()
  const [vm] = await vms()
  const said = (): unknown[] => open.entries.map(({ jsonPayload }) => jsonPayload)
  await expect.poll(said, { timeout: 20_000 }).toContainEqual({
    healthCheckProbeResult: expect.objectContaining({
      ipAddress: vm?.internalIp,
      healthState: 'HEALTHY',
    }),
  })
  // The agent no longer answers, the VM is alive: only the health check can know.
  vpc.remove(vm?.name ?? '', `${vm?.internalIp}:10250/tcp`)
  await expect.poll(said, { timeout: 20_000 }).toContainEqual(
    expect.objectContaining({
      instanceHealthStateChange: {
        instance: expect.stringMatching(`/instances/${vm?.name}$`),
        healthState: 'UNHEALTHY',
        detailedHealthState: 'UNHEALTHY',
      },
    }),
  )
  await expect.poll(said, { timeout: 20_000 }).toContainEqual({
    healthCheckProbeResult: expect.objectContaining({
      ipAddress: vm?.internalIp,
      healthState: 'UNHEALTHY',
      previousHealthState: 'HEALTHY',
    }),
  })
  expect((await vms())[0]?.isHealthy).toBe(false)
  expect(await vms()).toMatchObject([{ id: vm?.id, status: 'RUNNING' }, {}])
})

test('a connection to a VM that becomes unhealthy is cut', async () => {
  await google.compute.applyInstanceGroup({ ...GROUP, size: 1 })
  await google.compute.applyLoadBalancer(BALANCER)
  await expect.poll(async () => (await vms())[0]?.isHealthy, { timeout: 20_000 }).toBe(true)
  await expect.poll(ask, { timeout: 20_000 }).toMatch(/^gke-/)
  const [listener] = open.emulator.listeners()
  const socket = connect({ host: listener?.host ?? '', port: listener?.hostPort ?? 0 })
  const cut = new Promise<string>((resolve) => {
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
  })
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  await new Promise((resolve) => socket.once('data', resolve))
  const [vm] = await vms()
  vpc.remove(vm?.name ?? '', `${vm?.internalIp}:10250/tcp`)
  expect(await cut).toBe('ECONNRESET')
})

test('a VM that stands still is taken out of rotation, and comes back when it goes on', async () => {
  await google.compute.applyInstanceGroup(GROUP)
  await google.compute.applyLoadBalancer(BALANCER)
  await healthy()
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  const [first, second] = await vms()
  open.emulator.hangVm(first?.name ?? '')
  expect(open.emulator.vms()).toEqual([
    { name: first?.name, status: 'RUNNING', isHung: true },
    { name: second?.name, status: 'RUNNING', isHung: false },
  ])
  await expect
    .poll(async () => (await vms()).map(({ isHealthy }) => isHealthy), { timeout: 20_000 })
    .toEqual([false, true])
  // The load balancer has a check of its own.
  await expect
    .poll(() => askers(6).catch(() => undefined), { timeout: 20_000 })
    .toEqual(new Map([[second?.name, 6]]))
  const states = open.entries.flatMap(({ jsonPayload }) =>
    Object.values<unknown>(jsonPayload ?? {}),
  )
  expect(states).toContainEqual(expect.objectContaining({ detailedHealthState: 'TIMEOUT' }))
  open.emulator.resumeVm(first?.name ?? '')
  await healthy()
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  // The same incarnation: nobody has replaced it meanwhile.
  expect((await vms()).map(({ id }) => id)).toEqual([first?.id, second?.id])
})

test('a preempted VM is announced at once, and gets traffic until it is unwell; answers under way arrive', async () => {
  await open.close()
  await start(undefined, { FAKE_DRAIN_MS: '5000' })
  await google.compute.applyInstanceGroup(GROUP)
  await google.compute.applyLoadBalancer(BALANCER)
  await healthy()
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  const [first, second] = await vms()
  const gone = open.emulator.preempt(first?.name ?? '')
  await expect.poll(async () => (await vms())[0]?.status).toBe('STOPPING')
  expect(open.entries.map(({ protoPayload }) => protoPayload?.['methodName'])).toContain(
    'compute.instances.preempted',
  )
  expect((await askers(2)).size).toBe(2)
  let failed = 0
  const names = new Set<string>()
  const asking: Promise<void>[] = []
  for (const until = Date.now() + 4000; Date.now() < until; await sleep(20)) {
    asking.push(
      ask('/slow').then(
        (name) => void names.add(name),
        () => void failed++,
      ),
    )
  }
  await Promise.all(asking)
  // The first got its share until it was unwell, which on a busy machine may be before this began.
  expect(failed).toBe(0)
  expect(names).toContain(second?.name)
  expect(await askers(4)).toEqual(new Map([[second?.name, 4]]))
  await gone
})

test('VMs, groups and addresses outlive a restart of the emulator', async () => {
  await google.compute.applyInstanceGroup(GROUP)
  await google.compute.applyLoadBalancer(BALANCER)
  await healthy()
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  const before = (await vms()).map(({ name, id, internalIp }) => ({ name, id, internalIp }))
  const saved: unknown = JSON.parse(JSON.stringify(open.emulator.save()))
  await open.close()
  await start(saved)
  await healthy()
  expect(await vms()).toMatchObject(before)
  await expect.poll(async () => (await askers(4)).size, { timeout: 20_000 }).toBe(2)
  const again = await google.compute.applyLoadBalancer(BALANCER)
  expect(again.address).toBe('127.0.1.1')
})

test('a preempted VM and a stopped one are made anew by their group', async () => {
  await google.compute.applyInstanceGroup({ ...GROUP, spot: true })
  await healthy()
  const [one, two] = await vms()
  await open.emulator.preempt(one?.name ?? '')
  await open.emulator.stopVm(two?.name ?? '')
  await healthy()
  const after = await vms()
  expect(after.map(({ name }) => name)).toEqual([one?.name, two?.name])
  expect(after.map(({ id }) => id)).not.toContain(one?.id)
  expect(after.map(({ id }) => id)).not.toContain(two?.id)
  const methods = open.entries.map(({ protoPayload }) => protoPayload?.['methodName'])
  expect(methods).toContain('compute.instances.preempted')
  expect(methods).toContain('v1.compute.instances.stop')
})

test('a state that is not understood is put aside, saying so', async () => {
  await open.close()
  await start({ format: 'from another world' })
  expect(await vms()).toEqual([])
  expect(open.log.entries.map(({ message }) => message)).toContain(
    'the saved state of Compute Engine is not understood: it starts empty',
  )
})
