// What every Compute driver must do. `open` answers a driver on an empty project and what ends it.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { Compute, InstanceGroupSpec, LoadBalancerSpec } from '#shared/ports/compute.ts'
import { isReason } from '#shared/status.ts'

export interface ComputeUnderTest {
  compute: Compute
  close: () => Promise<void>
}

const LABELS = { 'wherry-cluster': 'c', 'wherry-pool': 'default-pool' }

function aGroup(wishes: Partial<InstanceGroupSpec> = {}): InstanceGroupSpec {
  return {
    name: 'gke-c-pool-12345678-grp',
    zone: 'us-east1-c',
    size: 2,
    baseInstanceName: 'gke-c-pool-12345678',
    machineType: 'e2-medium',
    diskSizeGb: 100,
    spot: false,
    labels: LABELS,
    metadata: { 'wherry-cluster': 'c' },
    healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
    ...wishes,
  }
}

function aBalancer(wishes: Partial<LoadBalancerSpec> = {}): LoadBalancerSpec {
  return {
    name: 'a123',
    region: 'us-east1',
    protocol: 'TCP',
    ports: [28_080],
    groups: [{ name: aGroup().name, zone: 'us-east1-c' }],
    healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
    sessionAffinity: 'NONE',
    sourceRanges: [],
    ...wishes,
  }
}

/** Looks until the answer is the wanted one; fails after 20 s with the last answer. */
async function eventually<T>(read: () => Promise<T>, isWanted: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const value = await read()
    if (isWanted(value)) return value
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${JSON.stringify(value)}`)
    await sleep(5)
  }
}

/** Runs the Compute contract on a driver. */
export function computeContract(name: string, open: () => Promise<ComputeUnderTest>): void {
  describe(`${name} keeps the Compute contract`, () => {
    const closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })
    const openCompute = async (): Promise<Compute> => {
      const { compute, close } = await open()
      closing.push(close)
      return compute
    }
    groupCases(openCompute)
    instanceCases(openCompute)
    balancerCases(openCompute)
  })
}

function running(compute: Compute, count: number) {
  return eventually(
    () => compute.listInstances(LABELS),
    (list) => list.length === count && list.every(({ status }) => status === 'RUNNING'),
  )
}

function groupCases(openCompute: () => Promise<Compute>): void {
  test('a group makes its VMs and comes to rest', async () => {
    const compute = await openCompute()
    const first = await compute.applyInstanceGroup(aGroup())
    expect(first).toMatchObject({ name: aGroup().name, zone: 'us-east1-c', targetSize: 2 })
    const vms = await running(compute, 2)
    const [one, other] = vms
    expect(one?.name).toMatch(/^gke-c-pool-12345678-[a-z0-9]{4}$/)
    expect(one).toMatchObject({ zone: 'us-east1-c', machineType: 'e2-medium', labels: LABELS })
    expect(one?.id).toMatch(/^\d+$/)
    expect(one?.internalIp).toMatch(/^10\./)
    expect(one?.id).not.toBe(other?.id)
    expect(one?.internalIp).not.toBe(other?.internalIp)
    const again = await compute.applyInstanceGroup(aGroup())
    expect(again).toEqual({ ...first, isStable: true })
    expect(await compute.listInstances(LABELS)).toEqual(vms)
  })

  test('it is resized in both directions, and those that stay are the same VMs', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const before = await running(compute, 2)
    await compute.applyInstanceGroup(aGroup({ size: 3 }))
    const more = await running(compute, 3)
    expect(more).toEqual(expect.arrayContaining(before))
    await compute.applyInstanceGroup(aGroup({ size: 1 }))
    const [left] = await running(compute, 1)
    expect(more).toContainEqual(left)
  })

  test('another template is another name, and running VMs are not replaced for it', async () => {
    const compute = await openCompute()
    const first = await compute.applyInstanceGroup(aGroup())
    const before = await running(compute, 2)
    const metadata = { 'wherry-cluster': 'c', 'wherry-api-url': 'https://elsewhere' }
    const second = await compute.applyInstanceGroup(aGroup({ metadata }))
    expect(second.template).not.toBe(first.template)
    const ids = async () => (await compute.listInstances(LABELS)).map(({ id }) => id)
    expect(await ids()).toEqual(before.map(({ id }) => id))
    const back = await compute.applyInstanceGroup(aGroup())
    expect(back.template).toBe(first.template)
  })

  test('deleting it takes its VMs; deleting what is gone succeeds', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    await running(compute, 2)
    await compute.deleteInstanceGroup(aGroup().name, 'us-east1-c')
    expect(await compute.listInstances({})).toEqual([])
    await compute.deleteInstanceGroup(aGroup().name, 'us-east1-c')
    await compute.applyInstanceGroup(aGroup())
    await running(compute, 2)
  })

  test('two calls at the same time make one group', async () => {
    const compute = await openCompute()
    await Promise.all([compute.applyInstanceGroup(aGroup()), compute.applyInstanceGroup(aGroup())])
    await running(compute, 2)
  })
}

function instanceCases(openCompute: () => Promise<Compute>): void {
  test('VMs are listed by all of their labels', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const labels = { 'wherry-cluster': 'c', 'wherry-pool': 'second' }
    const name = 'gke-c-second-12345679-grp'
    await compute.applyInstanceGroup(
      aGroup({ name, baseInstanceName: 'gke-c-second', labels, size: 1, zone: 'us-east1-d' }),
    )
    await running(compute, 2)
    const names = async (wanted: Record<string, string>) =>
      (await compute.listInstances(wanted)).map(({ zone }) => zone)
    expect(await names({ 'wherry-cluster': 'c' })).toHaveLength(3)
    expect(await names(labels)).toEqual(['us-east1-d'])
    expect(await names({ 'wherry-cluster': 'd' })).toEqual([])
  })

  test('a deleted VM is replaced under its name by another one', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const [vm] = await running(compute, 2)
    await compute.deleteInstance(aGroup().name, 'us-east1-c', vm?.name ?? '', false)
    const after = await eventually(
      () => running(compute, 2),
      (list) => list.every(({ id }) => id !== vm?.id),
    )
    expect(after.map(({ name }) => name)).toContain(vm?.name)
  })

  test('with shrink it is not replaced, and a second call for it is harmless', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const [vm] = await running(compute, 2)
    const shrink = () => compute.deleteInstance(aGroup().name, 'us-east1-c', vm?.name ?? '', true)
    await shrink()
    await shrink()
    const [left] = await running(compute, 1)
    expect(left?.name).not.toBe(vm?.name)
    const group = await compute.applyInstanceGroup(aGroup({ size: 1 }))
    expect(group.targetSize).toBe(1)
  })

  test('the driver answers to a ping', async () => {
    const compute = await openCompute()
    await expect(compute.ping()).resolves.toBeUndefined()
  })
}

function balancerCases(openCompute: () => Promise<Compute>): void {
  test('a load balancer keeps its address while it stands', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const first = await compute.applyLoadBalancer(aBalancer())
    expect(first).toMatchObject({ name: 'a123', region: 'us-east1' })
    expect(first.address).toMatch(/^\d+\.\d+\.\d+\.\d+$/)
    expect(await compute.applyLoadBalancer(aBalancer())).toEqual(first)
    const other = aBalancer({ ports: [28_081, 28_082], sessionAffinity: 'CLIENT_IP' })
    expect(await compute.applyLoadBalancer(other)).toEqual(first)
    expect(await compute.listLoadBalancers('a1')).toEqual([first])
    expect(await compute.listLoadBalancers('b')).toEqual([])
  })

  test('two load balancers have two addresses', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    const one = await compute.applyLoadBalancer(aBalancer())
    const two = await compute.applyLoadBalancer(aBalancer({ name: 'a124' }))
    expect(one.address).not.toBe(two.address)
    expect(await compute.listLoadBalancers('a')).toEqual([one, two])
  })

  test('a wish for an address is granted', async () => {
    const compute = await openCompute()
    const spec = aBalancer({ address: '127.0.1.77', groups: [] })
    expect(await compute.applyLoadBalancer(spec)).toMatchObject({ address: '127.0.1.77' })
  })

  test('deleting it frees its groups; deleting what is gone succeeds', async () => {
    const compute = await openCompute()
    await compute.applyInstanceGroup(aGroup())
    await compute.applyLoadBalancer(aBalancer())
    const removal = compute.deleteInstanceGroup(aGroup().name, 'us-east1-c')
    await expect(removal).rejects.toSatisfy((error) => isReason(error, 'Conflict'))
    await compute.applyLoadBalancer(aBalancer({ groups: [] }))
    await compute.deleteInstanceGroup(aGroup().name, 'us-east1-c')
    await compute.deleteLoadBalancer('a123', 'us-east1')
    await compute.deleteLoadBalancer('a123', 'us-east1')
    expect(await compute.listLoadBalancers('a')).toEqual([])
  })

  test('a group that does not exist is refused', async () => {
    const compute = await openCompute()
    await expect(compute.applyLoadBalancer(aBalancer())).rejects.toSatisfy((error) =>
      isReason(error, 'NotFound'),
    )
  })
}
