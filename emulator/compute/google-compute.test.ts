// The Compute and Disks contracts on Google's own client library, talking HTTP to the emulator, and disks over a
// restart of it. The clients are made once: that takes longer than all of the calls.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThroughClient } from 'google-auth-library'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createComputeLook } from '#functions/adapters/compute-look.ts'
import { CLUSTER_LABEL } from '#functions/cloud/wishes.ts'
import { computeContract } from '#test/contract/compute.ts'
import { disksContract } from '#test/contract/disks.ts'
import { eventually } from '#test/local-wherry.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
} from '#test/support/compute-emulator.ts'
import { createFolderMedia, devicesOf } from './disk-media.ts'

const ZONE = 'us-east1-c'

let google: GoogleComputeAt

beforeAll(async () => {
  google = await openGoogleCompute()
})
afterAll(() => google.close())
const ends: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

computeContract('google-compute on the emulator', async () => {
  const { emulator, close } = await openComputeEmulator()
  google.use(emulator)
  return { compute: google.compute, close }
})

disksContract('compute-disks on the emulator', async () => {
  const { emulator, close } = await openComputeEmulator()
  google.use(emulator)
  return { disks: google.compute.disks, compute: google.compute, close }
})

test('after a restart disks are where they were, and a damaged one keeps no other away', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'wherry-disks-'))
  ends.push(() => rmSync(dir, { recursive: true, force: true }))
  const first = await openComputeEmulator({ media: createFolderMedia(dir) })
  google.use(first.emulator)
  const vm = await aVm(google)
  for (const name of ['lost', 'kept']) {
    const spec = { name, zone: ZONE, sizeGb: 1, type: 'pd-balanced', labels: {}, description: '' }
    await google.compute.disks.create(spec)
    const wish = { disk: name, zone: ZONE, vm, deviceName: name, isReadOnly: false }
    await google.compute.disks.attach(wish)
  }
  const saved: unknown = JSON.parse(JSON.stringify(first.emulator.save()))
  await first.close()
  rmSync(join(dir, 'vms'), { recursive: true })
  writeFileSync(join(dir, 'disks', ZONE, 'lost', 'writer'), 'somebody-else')

  const second = await openComputeEmulator({ media: createFolderMedia(dir), saved })
  ends.push(() => second.close())
  const device = (name: string): string => join(devicesOf(join(dir, 'vms', vm)), `google-${name}`)
  expect(existsSync(device('kept'))).toBe(true)
  expect(existsSync(device('lost'))).toBe(false)
  expect(second.log.entries.map(({ message }) => message)).toContain('a disk does not come back')
})

test('what the sweep sees over REST is what the driver lists', async () => {
  const { emulator, close } = await openComputeEmulator()
  ends.push(close)
  google.use(emulator)
  await aVm(google, { [CLUSTER_LABEL]: 'c-1' })
  const seen = await createComputeLook({
    project: PROJECT,
    label: CLUSTER_LABEL,
    url: google.url,
    authClient: new PassThroughClient(),
  })()
  const listed = await google.compute.listInstances({ [CLUSTER_LABEL]: 'c-1' })
  expect(listed).toHaveLength(1)
  expect(seen).toEqual(
    listed.map(({ id, status, isHealthy }) => ({ cluster: 'c-1', id, status, isHealthy })),
  )
})

/** The name of a VM that runs. */
async function aVm(
  { compute }: GoogleComputeAt,
  labels: Record<string, string> = {},
): Promise<string> {
  await compute.applyInstanceGroup({
    name: 'gke-c-pool-12345678-grp',
    zone: ZONE,
    size: 1,
    baseInstanceName: 'gke-c-pool-12345678',
    machineType: 'e2-medium',
    diskSizeGb: 10,
    spot: false,
    labels,
    metadata: {},
    healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
  })
  return eventually('a VM', async () => {
    const [vm] = await compute.listInstances({})
    return vm?.status === 'RUNNING' && vm.name
  })
}
