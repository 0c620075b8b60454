// The memory driver keeps the contract, and does what tests ask of it.

import { expect, test } from 'vitest'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { StatusError } from '#shared/status.ts'
import { computeContract } from '#test/contract/compute.ts'
import { createManualClock } from './manual-clock.ts'
import { createMemoryCompute } from './memory-compute.ts'

computeContract('memory', async () => ({
  compute: createMemoryCompute({ clock: createSystemClock() }),
  close: async () => {},
}))

const SPEC = {
  name: 'gke-c-pool-12345678-grp',
  zone: 'us-east1-c',
  size: 1,
  baseInstanceName: 'gke-c-pool-12345678',
  machineType: 'e2-medium',
  diskSizeGb: 10,
  spot: false,
  labels: {},
  metadata: {},
  healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
}

test('a VM takes its time to boot', async () => {
  const clock = createManualClock(0)
  const compute = createMemoryCompute({ clock, bootMs: 1000 })
  expect(await compute.applyInstanceGroup(SPEC)).toMatchObject({ isStable: false })
  expect(await compute.listInstances({})).toMatchObject([{ status: 'PROVISIONING' }])
  await clock.advance(1000)
  expect(await compute.listInstances({})).toMatchObject([{ status: 'RUNNING' }])
})

test('a killed VM comes back under its name as another one', async () => {
  const compute = createMemoryCompute({ clock: createManualClock(0) })
  await compute.applyInstanceGroup(SPEC)
  const [before] = await compute.listInstances({})
  compute.killVm(before?.name ?? '')
  const [after] = await compute.listInstances({})
  expect(after).toMatchObject({ name: before?.name })
  expect(after?.id).not.toBe(before?.id)
})

test('calls are refused when told to', async () => {
  const compute = createMemoryCompute({ clock: createManualClock(0) })
  compute.failWith(new StatusError('Forbidden', `Quota 'CPUS' exceeded.`), 'applyInstanceGroup')
  await expect(compute.applyInstanceGroup(SPEC)).rejects.toThrow('Quota')
  compute.failWith(undefined, 'applyInstanceGroup')
  await expect(compute.applyInstanceGroup(SPEC)).resolves.toMatchObject({ targetSize: 1 })
})
