// What a group says of VMs that are not to be had, and that it gets them when they are.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { InstanceGroupSpec } from '#shared/ports/compute.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'
import { CannotCause } from './machines.ts'

const GROUP: InstanceGroupSpec = {
  name: 'gke-c-pool-12345678-grp',
  zone: 'us-east1-c',
  size: 1,
  baseInstanceName: 'gke-c-pool-12345678',
  machineType: 'e2-medium',
  diskSizeGb: 10,
  spot: true,
  labels: {},
  metadata: {},
  healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
}

let google: GoogleComputeAt
let open: OpenComputeEmulator

beforeEach(async () => {
  google = await openGoogleCompute()
  open = await openComputeEmulator()
  google.use(open.emulator)
})
afterEach(async () => {
  await open.close()
  await google.close()
})

test.each([
  {
    shortage: 'stock-out',
    said: /^ZONE_RESOURCE_POOL_EXHAUSTED: The zone .* does not have enough/,
  },
  { shortage: 'quota', said: /^QUOTA_EXCEEDED: Quota .* exceeded/ },
] as const)('$shortage: the group says so, and recovers', async ({ shortage, said }) => {
  open.emulator.setShortage(shortage)
  await google.compute.applyInstanceGroup(GROUP)
  const lastError = async () => (await google.compute.applyInstanceGroup(GROUP)).lastError ?? ''
  await expect.poll(lastError, { timeout: 20_000 }).toMatch(said)
  expect(await google.compute.listInstances({})).toEqual([])
  expect(await open.emulator.heal()).toEqual(['new VMs are to be had again'])
  await expect
    .poll(async () => (await google.compute.listInstances({})).map(({ status }) => status), {
      timeout: 30_000,
    })
    .toEqual(['RUNNING'])
})

test('what VMs have no part for is refused, saying so', async () => {
  await google.compute.applyInstanceGroup(GROUP)
  await expect.poll(() => open.emulator.vms().length, { timeout: 20_000 }).toBe(1)
  const name = open.emulator.vms()[0]?.name ?? ''
  await expect.poll(() => open.machines.isAlive(name)).toBe(true)
  expect(() => open.emulator.killProgram(name, 'docker')).toThrow(CannotCause)
  await expect(open.emulator.impair(name, { kind: 'delay', ms: 5 })).rejects.toThrow(CannotCause)
})

test('checks that flap are told of, again and again, until heal', async () => {
  const group = { ...GROUP, healthCheck: { port: 9, path: '/healthz', intervalSeconds: 1 } }
  const server = createServer((_, response) => response.end('ok'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await google.compute.applyInstanceGroup(group)
  await expect.poll(() => open.emulator.vms().length, { timeout: 20_000 }).toBe(1)
  const [vm] = await google.compute.listInstances({})
  const address = `${vm?.internalIp}:9/tcp`
  open.vpc.register({ owner: 'test', address, to: `127.0.0.1:${port}` })
  const isHealthy = async () => (await google.compute.listInstances({}))[0]?.isHealthy
  await expect.poll(isHealthy, { timeout: 30_000 }).toBe(true)
  const told = () => open.entries.filter(({ jsonPayload }) => jsonPayload).length
  const before = told()
  open.emulator.flapChecks(vm?.name ?? '')
  await expect.poll(told, { timeout: 40_000 }).toBeGreaterThanOrEqual(before + 3)
  expect(await open.emulator.heal()).toEqual([`checks of ${vm?.name} are steady`])
  await expect.poll(isHealthy, { timeout: 30_000 }).toBe(true)
  server.close()
})
