// What the cloud function believes of its VMs' health: nothing that it has not seen twice.

import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import { createMemoryCompute, type MemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryHttpBalancers } from '#emulator/adapters/memory-http-balancers.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { Node } from '#shared/api/node.ts'
import { NODE_POOL_LABEL, type NodePool } from '#shared/api/node-pool.ts'
import { keyOf } from '#shared/key.ts'
import type { Store } from '#shared/ports/store.ts'
import { StatusError } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import { aPod } from '#test/support/objects.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { createCloud, type Cloud } from './cloud.ts'

const CLUSTER = 'c-1'
const POOL_KEY = keyOf('nodepools.container.wherry.dev', '', 'pool')
const INTERVAL_SECONDS = 2

type Health = boolean | undefined

let clock: ManualClock
let store: Store
let compute: MemoryCompute
let cloud: Cloud
let live: LiveView
let vm: string
/** Milliseconds from the time at which each wake-up was asked for. */
let wakes: number[]

beforeEach(async () => {
  clock = createManualClock()
  store = createMemoryStore({ clock })
  compute = createMemoryCompute({ clock })
  wakes = []
  const log = createMemoryLog()
  const views = createLiveViews({ store, clock, log })
  cloud = createCloud({
    store,
    views,
    compute,
    httpBalancers: createMemoryHttpBalancers(),
    disks: createMemoryDisks({ compute }),
    clock,
    log,
    bus: createMemoryBus({ clock }),
    timers: {
      wake: async (_, atMs) => void wakes.push(atMs - clock.now()),
      close: async () => {},
    },
    config: {
      region: 'us-east1',
      apiUrl: () => 'https://api',
      apiCa: () => '',
      audience: '',
      pubsubProject: 'demo',
      healthCheckIntervalSeconds: INTERVAL_SECONDS,
      propagationSeconds: 0,
    },
  })
  const pool: NodePool = {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: { name: 'pool', uid: 'pool-1', creationTimestamp: '2026-11-22T00:00:00Z' },
    spec: {
      nodeCount: 1,
      zone: 'us-east1-c',
      machineType: 'e2-medium',
      diskSizeGb: 10,
      spot: false,
    },
  }
  live = await views.open(CLUSTER)
  await live.commit({
    id: 'pool',
    cause: { actor: 'user:admin', verb: 'create' },
    writes: [{ key: POOL_KEY, object: pool, expect: null }],
  })
  await cloud.handle(CLUSTER)
  const [instance] = await compute.listInstances({})
  vm = instance?.name ?? ''
})

/** One pass; at its second look the health is `second`. Answers what is believed and how often was asked. */
async function look(first: Health, second: Health): Promise<{ believed: Health; looks: number }> {
  compute.setHealth(vm, first)
  const before = looks()
  const handled = cloud.handle(CLUSTER)
  await clock.advance(INTERVAL_SECONDS * 1000 - 1)
  compute.setHealth(vm, second)
  await clock.advance(1)
  await handled
  return { believed: await believed(), looks: looks() - before }
}

const looks = (): number => compute.calls.filter((call) => call.startsWith('listInstances')).length

async function believed(): Promise<Health> {
  const pool = (await store.get(CLUSTER, POOL_KEY)) as NodePool | undefined
  return pool?.status?.instances?.[0]?.isHealthy
}

const cases: { before: Health; first: Health; second: Health; believed: Health; looks: number }[] =
  [
    { before: undefined, first: undefined, second: undefined, believed: undefined, looks: 1 },
    { before: undefined, first: true, second: true, believed: true, looks: 1 },
    { before: undefined, first: false, second: false, believed: false, looks: 2 },
    { before: true, first: true, second: true, believed: true, looks: 1 },
    { before: true, first: false, second: false, believed: false, looks: 2 },
    { before: true, first: false, second: true, believed: true, looks: 2 },
    { before: true, first: undefined, second: undefined, believed: undefined, looks: 1 },
    { before: false, first: false, second: false, believed: false, looks: 1 },
    { before: false, first: true, second: true, believed: true, looks: 2 },
    { before: false, first: true, second: false, believed: false, looks: 2 },
  ]

describe('a VM whose health was', () => {
  test.each(cases)(
    '$before, is $first and then $second, is $believed after $looks looks',
    async ({ before, first, second, ...expected }) => {
      if (before !== undefined) await look(before, before)
      expect(await look(first, second)).toEqual(expected)
    },
  )
})

test('a VM that is another one at the second look is not taken for unwell', async () => {
  await look(true, true)
  compute.setHealth(vm, false)
  const handled = cloud.handle(CLUSTER)
  await clock.advance(1000)
  compute.killVm(vm)
  compute.setHealth(vm, false)
  await clock.advance(INTERVAL_SECONDS * 1000)
  await handled
  expect(await believed()).toBeUndefined()
})

test('nothing is believed when the second look fails; it is tried again', async () => {
  await look(true, true)
  compute.setHealth(vm, false)
  const handled = cloud.handle(CLUSTER)
  await clock.advance(1000)
  compute.failWith(new StatusError('ServiceUnavailable', 'away'), 'listInstances')
  await clock.advance(INTERVAL_SECONDS * 1000)
  await handled
  expect(await believed()).toBe(true)
  expect(wakes).toEqual([5000])
})

test('a VM that is unwell is watched, ever less often, and no longer when it is well', async () => {
  await look(true, true)
  expect(wakes).toEqual([])
  await look(false, false)
  await look(false, false)
  expect(wakes).toEqual([1000, 2000])
  await look(true, true)
  expect(wakes).toEqual([1000, 2000])
})

describe('a VM that has been unwell', () => {
  async function putNode(name: string): Promise<void> {
    const lastTransitionTime = formatTime(clock.now())
    const labels = { [NODE_POOL_LABEL]: 'pool' }
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, uid: name, labels, creationTimestamp: lastTransitionTime },
      spec: {},
      status: { conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime }] },
    }
    await live.commit({
      id: name,
      cause: { actor: 'test', verb: 'create' },
      writes: [{ key: keyOf('nodes', '', name), object: node, expect: null }],
    })
  }

  /** Its Node says since when; without one it never got so far. */
  async function unwellFor(minutes: number, options: { node: boolean }): Promise<void> {
    if (options.node) await putNode(vm)
    await look(false, false)
    await clock.advance(minutes * 60_000)
    await cloud.handle(CLUSTER)
  }

  test.each([
    { leaving: true, seconds: 29, anew: false },
    { leaving: true, seconds: 30, anew: true },
    // Nobody waits for it.
    { leaving: false, seconds: 60, anew: false },
  ])(
    'for $seconds s while a pod with a disk leaves it ($leaving) is made anew: $anew',
    async ({ leaving, seconds, anew }) => {
      const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
      const pod = aPod('db-0', {
        node: vm,
        spec: { volumes },
        meta: leaving ? { deletionTimestamp: formatTime(clock.now()) } : {},
      })
      await live.commit({
        id: 'pod',
        cause: { actor: 'test', verb: 'create' },
        writes: [{ key: keyOf('pods', 'default', 'db-0'), object: pod, expect: null }],
      })
      await putNode(vm)
      await look(false, false)
      await clock.advance(seconds * 1000 - INTERVAL_SECONDS * 1000)
      await cloud.handle(CLUSTER)
      expect(wasMadeAnew()).toBe(anew)
    },
  )

  const wasMadeAnew = (): boolean => compute.calls.includes(`deleteInstance ${vm}`)

  test.each([
    { minutes: 9, node: true, anew: false },
    { minutes: 10, node: true, anew: true },
    { minutes: 9, node: false, anew: false },
    { minutes: 10, node: false, anew: true },
  ])('for $minutes minutes (Node: $node) is made anew: $anew', async ({ minutes, node, anew }) => {
    await unwellFor(minutes, { node })
    expect(wasMadeAnew()).toBe(anew)
    await cloud.handle(CLUSTER)
    expect(await believed()).toBe(anew ? undefined : false)
  })

  test('together with most of the others is left alone: that is not the VMs', async () => {
    const current = (await live.catchUp()).get(POOL_KEY) as NodePool
    const object: NodePool = { ...current, spec: { ...current.spec, nodeCount: 3 } }
    await live.commit({
      id: 'larger',
      cause: { actor: 'test', verb: 'update' },
      writes: [
        {
          key: POOL_KEY,
          object,
          expect: current.metadata.resourceVersion ?? null,
        },
      ],
    })
    await cloud.handle(CLUSTER)
    const names = (await compute.listInstances({})).map(({ name }) => name)
    for (const name of names) await putNode(name)
    const unwell = names.slice(0, 2)
    for (const name of unwell) compute.setHealth(name, false)
    const handled = cloud.handle(CLUSTER)
    await clock.advance(INTERVAL_SECONDS * 1000)
    await handled
    await clock.advance(600_000)
    await cloud.handle(CLUSTER)
    expect(compute.calls.filter((call) => call.startsWith('deleteInstance'))).toEqual([])
    compute.setHealth(unwell[0] ?? '', true)
    const better = cloud.handle(CLUSTER)
    await clock.advance(INTERVAL_SECONDS * 1000)
    await better
    await cloud.handle(CLUSTER)
    expect(compute.calls.filter((call) => call.startsWith('deleteInstance'))).toEqual([
      `deleteInstance ${unwell[1]}`,
    ])
  })

  test('but not when Google cannot do it now: it is tried again', async () => {
    compute.failWith(new StatusError('ServiceUnavailable', 'away'), 'deleteInstance')
    await unwellFor(10, { node: false })
    expect(await believed()).toBe(false)
    compute.failWith(undefined, 'deleteInstance')
    await cloud.handle(CLUSTER)
    await cloud.handle(CLUSTER)
    expect(await believed()).toBeUndefined()
  })
})
