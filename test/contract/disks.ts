// What every Disks driver must do. `open` answers a driver on an empty project with running VMs, and what
// ends it.

import { afterEach, describe, expect, test } from 'vitest'
import type { Compute } from '#shared/ports/compute.ts'
import type { Disks, DiskSpec } from '#shared/ports/disks.ts'
import { isReason } from '#shared/status.ts'
import { eventually } from '../local-wherry.ts'

export interface DisksUnderTest {
  disks: Disks
  compute: Compute
  close: () => Promise<void>
}

const ZONE = 'us-east1-c'
const LABELS = { 'wherry-cluster': 'c' }
const GROUP = 'gke-c-pool-12345678-grp'

function aDisk(name: string, wishes: Partial<DiskSpec> = {}): DiskSpec {
  const spec = { name, zone: ZONE, sizeGb: 10, type: 'pd-balanced', labels: LABELS }
  return { ...spec, description: 'for a claim', ...wishes }
}

/** Runs the Disks contract on a driver. */
export function disksContract(name: string, open: () => Promise<DisksUnderTest>): void {
  describe(`${name} keeps the Disks contract`, () => {
    const closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })
    const opened = async (): Promise<DisksUnderTest> => {
      const under = await open()
      closing.push(under.close)
      return under
    }
    diskCases(opened)
    attachCases(opened)
  })
}

function diskCases(open: () => Promise<DisksUnderTest>): void {
  test('a disk is made once, shown, listed by its labels, and removed', async () => {
    const { disks } = await open()
    const { description: _, ...shown } = aDisk('pvc-1')
    expect(await disks.create(aDisk('pvc-1'))).toEqual({ ...shown, users: [] })
    expect(await disks.create(aDisk('pvc-1'))).toEqual({ ...shown, users: [] })
    await disks.create(aDisk('pvc-2', { labels: { 'wherry-cluster': 'other' } }))
    expect(await disks.list(LABELS)).toEqual([{ ...shown, users: [] }])
    expect(await disks.get('pvc-1', ZONE)).toEqual({ ...shown, users: [] })
    await disks.delete('pvc-1', ZONE)
    await disks.delete('pvc-1', ZONE)
    expect(await disks.get('pvc-1', ZONE)).toBeUndefined()
    expect(await disks.list(LABELS)).toEqual([])
  })

  test('a disk of the same name that is somebody else’s is not taken over', async () => {
    const { disks } = await open()
    await disks.create(aDisk('pvc-1', { labels: { 'wherry-cluster': 'other' } }))
    await expect(disks.create(aDisk('pvc-1'))).rejects.toSatisfy((error) =>
      isReason(error, 'Conflict'),
    )
  })

  test('a disk grows and never shrinks', async () => {
    const { disks } = await open()
    await disks.create(aDisk('pvc-1'))
    expect(await disks.resize('pvc-1', ZONE, 12)).toMatchObject({ sizeGb: 12 })
    expect(await disks.resize('pvc-1', ZONE, 12)).toMatchObject({ sizeGb: 12 })
    expect(await disks.resize('pvc-1', ZONE, 11)).toMatchObject({ sizeGb: 12 })
    await expect(disks.resize('pvc-9', ZONE, 11)).rejects.toSatisfy((error) =>
      isReason(error, 'NotFound'),
    )
  })
}

function attachCases(open: () => Promise<DisksUnderTest>): void {
  test('a disk that is written belongs to one VM until it is taken off', async () => {
    const { disks, compute } = await open()
    const [one, other] = await twoVms(compute)
    await disks.create(aDisk('pvc-1'))
    const wish = { disk: 'pvc-1', zone: ZONE, deviceName: 'pvc-1', isReadOnly: false }
    expect(await disks.attach({ ...wish, vm: one.name })).toEqual({ vmId: one.id })
    expect(await disks.attach({ ...wish, vm: one.name })).toEqual({ vmId: one.id })
    expect(await disks.get('pvc-1', ZONE)).toMatchObject({ users: [one.name] })
    await expect(disks.attach({ ...wish, vm: other.name })).rejects.toSatisfy((error) =>
      isReason(error, 'Conflict'),
    )
    await expect(disks.delete('pvc-1', ZONE)).rejects.toSatisfy((error) =>
      isReason(error, 'Conflict'),
    )
    await disks.detach('pvc-1', ZONE, one.name)
    await disks.detach('pvc-1', ZONE, one.name)
    expect(await disks.attach({ ...wish, vm: other.name })).toEqual({ vmId: other.id })
    expect(await disks.get('pvc-1', ZONE)).toMatchObject({ users: [other.name] })
  })

  test('a disk that is only read may have several VMs', async () => {
    const { disks, compute } = await open()
    const [one, other] = await twoVms(compute)
    await disks.create(aDisk('pvc-1'))
    const wish = { disk: 'pvc-1', zone: ZONE, deviceName: 'pvc-1', isReadOnly: true }
    await disks.attach({ ...wish, vm: one.name })
    await disks.attach({ ...wish, vm: other.name })
    const { users = [] } = (await disks.get('pvc-1', ZONE)) ?? {}
    expect(users.toSorted()).toEqual([one.name, other.name].toSorted())
    await disks.detach('pvc-1', ZONE, one.name)
    await expect(disks.attach({ ...wish, vm: one.name, isReadOnly: false })).rejects.toSatisfy(
      (error) => isReason(error, 'Conflict'),
    )
  })

  test('a VM that is replaced lets go of its disks, and what is not there is not found', async () => {
    const { disks, compute } = await open()
    const [one, other] = await twoVms(compute)
    await disks.create(aDisk('pvc-1'))
    const wish = { disk: 'pvc-1', zone: ZONE, deviceName: 'pvc-1', isReadOnly: false }
    await disks.attach({ ...wish, vm: one.name })
    await compute.deleteInstance(GROUP, ZONE, one.name, true)
    await eventually('the disk is free', async () => {
      const disk = await disks.get('pvc-1', ZONE)
      return disk?.users.length === 0
    })
    await disks.detach('pvc-1', ZONE, one.name)
    await disks.attach({ ...wish, vm: other.name })
    for (const missing of [
      { ...wish, vm: 'nobody' },
      { ...wish, vm: other.name, disk: 'pvc-9' },
    ]) {
      await expect(disks.attach(missing)).rejects.toSatisfy((error) => isReason(error, 'NotFound'))
    }
  })
}

async function twoVms(compute: Compute) {
  const labels = { 'wherry-cluster': 'c' }
  await compute.applyInstanceGroup({
    name: GROUP,
    zone: ZONE,
    size: 2,
    baseInstanceName: 'gke-c-pool-12345678',
    machineType: 'e2-medium',
    diskSizeGb: 100,
    spot: false,
    labels,
    metadata: {},
    healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
  })
  const [one, other] = await eventually('two VMs', async () => {
    const vms = await compute.listInstances(labels)
    return vms.length === 2 && vms.every(({ status }) => status === 'RUNNING') && vms
  })
  if (!one || !other) throw new Error('there are no two VMs')
  return [one, other] as const
}
