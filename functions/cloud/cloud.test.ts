// Node pools and load balancers from the objects to Compute Engine and back, on memory drivers.

import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus, type MemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import { createMemoryCompute, type MemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryHttpBalancers } from '#emulator/adapters/memory-http-balancers.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { VM_METADATA } from '#shared/api/agent-wire.ts'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import type { Secret } from '#shared/api/config.ts'
import type { KubeEvent } from '#shared/api/event.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import {
  LOAD_BALANCER_FINALIZER,
  NODE_POOL_FINALIZER,
  type NodePool,
} from '#shared/api/node-pool.ts'
import type { Service } from '#shared/api/service.ts'
import { keyOf } from '#shared/key.ts'
import type { Compute } from '#shared/ports/compute.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Store } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import { StatusError } from '#shared/status.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { createCloud, type Cloud } from './cloud.ts'
import { clusterMark } from './names.ts'

const CLUSTER = 'c-1'
const POOL_KEY = keyOf('nodepools.container.wherry.dev', '', 'default-pool')
const SERVICE_KEY = keyOf('services', 'default', 'web')
const TOKEN_KEY = keyOf('secrets', 'kube-system', 'wherry-agent-token')

const CONFIG = {
  region: 'us-east1',
  apiUrl: (cluster: string) => `https://api/${cluster}`,
  apiCa: () => 'PEM',
  audience: 'https://wherry',
  pubsubProject: 'demo',
  healthCheckIntervalSeconds: 1,
  propagationSeconds: 0,
}

function aPool(spec: Partial<NodePool['spec']> = {}): NodePool {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: { name: 'default-pool', uid: 'pool-1', creationTimestamp: '2026-11-22T00:00:00Z' },
    spec: {
      nodeCount: 2,
      zone: 'us-east1-c',
      machineType: 'e2-medium',
      diskSizeGb: 100,
      spot: false,
      labels: { tier: 'web' },
      taints: [{ key: 'dedicated', effect: 'NoSchedule' }],
      ...spec,
    },
  }
}

function aService(spec: Partial<Service['spec']> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'web',
      namespace: 'default',
      uid: 'service-1',
      creationTimestamp: '2026-11-22T00:00:00Z',
    },
    spec: { type: 'LoadBalancer', ports: [{ port: 80, targetPort: 8080 }], ...spec },
  }
}

/** One instance of the function over a store that outlives it. */
interface World {
  store: Store
  views: LiveViews
  compute: MemoryCompute
  clock: ManualClock
  bus: MemoryBus
  cloud: Cloud
  /** Wake-ups that were asked for: milliseconds from now. */
  wakes: { inMs: number; topic: string | undefined }[]
}

let world: World

/** A new instance of the function: nothing is remembered but what is stored. */
function restart(
  from: Pick<World, 'store' | 'compute' | 'clock' | 'bus'>,
  compute?: Compute,
): World {
  const log = createMemoryLog()
  const views = createLiveViews({ ...from, log })
  const wakes: World['wakes'] = []
  const timers: Timers = {
    wake: async (_, atMs, topic) => void wakes.push({ inMs: atMs - from.clock.now(), topic }),
    close: async () => {},
  }
  const httpBalancers = createMemoryHttpBalancers()
  const disks = createMemoryDisks({ compute: from.compute })
  const deps = {
    ...from,
    compute: compute ?? from.compute,
    disks,
    httpBalancers,
    log,
    views,
    timers,
  }
  return { ...from, views, wakes, cloud: createCloud({ ...deps, config: CONFIG }) }
}

beforeEach(() => {
  const clock = createManualClock()
  world = restart({
    clock,
    store: createMemoryStore({ clock }),
    compute: createMemoryCompute({ clock }),
    bus: createMemoryBus({ clock }),
  })
})

let commits = 0

/** As the api function stores it; null removes. */
async function put(key: string, change: (object: KubeObject | undefined) => KubeObject | null) {
  const live = await world.views.open(CLUSTER)
  const current = (await live.catchUp()).get(key)
  await live.commit({
    id: `test-${commits++}`,
    cause: { actor: 'user:admin', verb: 'update' },
    writes: [{ key, object: change(current), expect: current?.metadata.resourceVersion ?? null }],
  })
}

async function read<T extends KubeObject>(key: string): Promise<T | undefined> {
  return (await world.store.get(CLUSTER, key)) as T | undefined
}

async function commitsSoFar(): Promise<number> {
  return (await world.store.revisions(CLUSTER, undefined)).revisions.length
}

async function eventsAbout(name: string): Promise<string[]> {
  const live = await world.views.open(CLUSTER)
  const events = (await live.catchUp()).list('events') as readonly KubeEvent[]
  return events
    .filter((event) => event.involvedObject.name === name)
    .map((event) => `${event.type} ${event.reason}: ${event.message}`)
    .toSorted()
}

function leave(object: KubeObject | undefined): KubeObject {
  if (!object) throw new Error('nothing to delete')
  return { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-11-22T00:00:01Z' } }
}

describe('a node pool', () => {
  test('becomes a group whose VMs are listed in its status', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const pool = await read<NodePool>(POOL_KEY)
    expect(pool?.metadata.finalizers).toEqual([NODE_POOL_FINALIZER])
    expect(pool?.status).toMatchObject({ phase: 'Running' })
    expect(pool?.status?.instanceGroup).toMatch(
      new RegExp(`^gke-c-1-default-pool-${clusterMark(CLUSTER)}[0-9a-f]{3}-grp$`),
    )
    const vms = await world.compute.listInstances({ 'wherry-cluster': CLUSTER })
    expect(pool?.status?.instances).toEqual(
      vms.map(({ name, id, creationTimestamp, internalIp, externalIp }) => ({
        name,
        id,
        status: 'RUNNING',
        creationTimestamp,
        internalIp,
        externalIp,
      })),
    )
    expect(vms[0]?.name).toMatch(/^gke-c-1-default-pool-[0-9a-f]{8}-[a-z0-9]{4}$/)
    expect(world.wakes).toEqual([])
  })

  test('tells its VMs what the agent must know', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const token = await read<Secret>(TOKEN_KEY)
    const [group] = world.compute.groups()
    expect(group?.labels).toEqual({ 'wherry-cluster': CLUSTER, 'wherry-pool': 'default-pool' })
    expect(group?.metadata).toEqual({
      [VM_METADATA.cluster]: CLUSTER,
      [VM_METADATA.apiUrl]: 'https://api/c-1',
      [VM_METADATA.apiCa]: 'PEM',
      [VM_METADATA.audience]: 'https://wherry',
      [VM_METADATA.nodeLabels]: JSON.stringify({
        tier: 'web',
        'cloud.google.com/gke-nodepool': 'default-pool',
      }),
      [VM_METADATA.nodeTaints]: JSON.stringify([{ key: 'dedicated', effect: 'NoSchedule' }]),
      [VM_METADATA.agentToken]: atob(token?.data?.['token'] ?? ''),
      [VM_METADATA.pubsubProject]: 'demo',
    })
    expect(atob(token?.data?.['token'] ?? '')).toHaveLength(43)
  })

  test('is named after the cluster as the fleet calls it, and keeps that name', async () => {
    const fleet = await world.views.open(FLEET)
    const record = (displayName: string) => ({
      apiVersion: 'container.wherry.dev/v1',
      kind: 'Cluster',
      metadata: { name: CLUSTER, uid: 'c', creationTimestamp: '2026-11-22T00:00:00Z' },
      spec: { project: 'demo', location: 'us-east1-c', displayName },
    })
    const key = keyOf(CLUSTERS, '', CLUSTER)
    const cause = { actor: 'test', verb: 'create' }
    const first = await fleet.commit({
      id: 'fleet-1',
      cause,
      writes: [{ key, object: record('test-cluster'), expect: null }],
    })
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const name = (await read<NodePool>(POOL_KEY))?.status?.instanceGroup
    expect(name).toMatch(/^gke-test-cluster-default-pool-[0-9a-f]{8}-grp$/)
    await fleet.commit({
      id: 'fleet-2',
      cause,
      writes: [{ key, object: record('renamed'), expect: first.version }],
    })
    world = restart(world)
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.instanceGroup).toBe(name)
    expect(world.compute.groups()).toHaveLength(1)
  })

  test('writes nothing and asks little when nothing changed', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const before = await commitsSoFar()
    const calls = world.compute.calls.length
    await world.cloud.handle(CLUSTER)
    expect(await commitsSoFar()).toBe(before)
    expect(world.compute.calls.slice(calls)).toEqual([`listInstances ${CLUSTER}`])
  })

  test('is looked at again while its VMs boot, ever later', async () => {
    world = restart({ ...world, compute: createMemoryCompute({ ...world, bootMs: 60_000 }) })
    await put(POOL_KEY, () => aPool())
    for (let turn = 0; turn < 3; turn++) await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.phase).toBe('Provisioning')
    expect(world.wakes).toEqual([1000, 2000, 4000].map((inMs) => ({ inMs, topic: TOPICS.cloud })))
    await world.clock.advance(60_000)
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.phase).toBe('Running')
    expect(world.wakes).toHaveLength(3)
  })

  test('shows a VM that was replaced', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const before = (await read<NodePool>(POOL_KEY))?.status?.instances ?? []
    const [lost, other] = before
    world.compute.killVm(lost?.name ?? '')
    await world.cloud.handle(CLUSTER)
    const after = (await read<NodePool>(POOL_KEY))?.status?.instances ?? []
    const find = (name: string | undefined) => after.find((vm) => vm.name === name)
    expect(find(lost?.name)?.id).not.toBe(lost?.id)
    expect(find(other?.name)).toEqual(other)
  })

  test('that Google refuses says why, and is tried again ever later', async () => {
    const quota = new StatusError('Forbidden', `Quota 'CPUS' exceeded.  Limit: 24.0`)
    world.compute.failWith(quota, 'applyInstanceGroup')
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status).toMatchObject({
      phase: 'Error',
      message: `Quota 'CPUS' exceeded.  Limit: 24.0`,
    })
    expect(await eventsAbout('default-pool')).toEqual([
      `Warning SyncNodePoolFailed: Error syncing node pool: Quota 'CPUS' exceeded.  Limit: 24.0`,
    ])
    expect(world.wakes.map(({ inMs }) => inMs)).toEqual([5000, 10_000])
    world.compute.failWith(undefined, 'applyInstanceGroup')
    await world.cloud.handle(CLUSTER)
    const status = (await read<NodePool>(POOL_KEY))?.status
    expect(status?.phase).toBe('Running')
    expect(status).not.toHaveProperty('message')
  })

  test('keeps its list of VMs when they cannot be listed', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    const before = await read<NodePool>(POOL_KEY)
    world.compute.failWith(new StatusError('ServiceUnavailable', 'away'), 'listInstances')
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.instances).toEqual(before?.status?.instances)
    expect(world.wakes.map(({ inMs }) => inMs)).toEqual([5000])
  })

  test('goes only when its VMs are gone', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    await put(POOL_KEY, leave)
    world.compute.failWith(new StatusError('ServiceUnavailable', 'away'), 'deleteInstanceGroup')
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.phase).toBe('Deleting')
    world.compute.failWith(undefined, 'deleteInstanceGroup')
    await world.cloud.handle(CLUSTER)
    expect(await read(POOL_KEY)).toBeUndefined()
    expect(await world.compute.listInstances({})).toEqual([])
  })

  test('that is resized is resized at Google', async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
    await put(POOL_KEY, (pool) => ({ ...(pool as NodePool), spec: aPool({ nodeCount: 3 }).spec }))
    await world.cloud.handle(CLUSTER)
    expect((await read<NodePool>(POOL_KEY))?.status?.instances).toHaveLength(3)
  })
})

describe('a Service of type LoadBalancer', () => {
  beforeEach(async () => {
    await put(POOL_KEY, () => aPool())
    await world.cloud.handle(CLUSTER)
  })

  test('gets an address, and says so', async () => {
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    const service = await read<Service>(SERVICE_KEY)
    expect(service?.status?.loadBalancer).toEqual({ ingress: [{ ip: '127.0.1.1', ipMode: 'VIP' }] })
    expect(service?.metadata.finalizers).toEqual([LOAD_BALANCER_FINALIZER])
    expect(await eventsAbout('web')).toEqual([
      'Normal EnsuredLoadBalancer: Ensured load balancer',
      'Normal EnsuringLoadBalancer: Ensuring load balancer',
    ])
    const pool = await read<NodePool>(POOL_KEY)
    expect(world.compute.loadBalancers()).toEqual([
      {
        name: expect.stringMatching(/^a[0-9a-f]{31}$/),
        region: 'us-east1',
        protocol: 'TCP',
        ports: [80],
        groups: [{ name: pool?.status?.instanceGroup, zone: 'us-east1-c' }],
        healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
        sessionAffinity: 'NONE',
        sourceRanges: [],
      },
    ])
  })

  test('is changed with its ports', async () => {
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    const spec = aService({ ports: [{ port: 81 }], sessionAffinity: 'ClientIP' }).spec
    await put(SERVICE_KEY, (service) => ({ ...(service as Service), spec }))
    await world.cloud.handle(CLUSTER)
    expect(world.compute.loadBalancers()).toMatchObject([
      { ports: [81], sessionAffinity: 'CLIENT_IP' },
    ])
  })

  test.each([
    { given: [' 192.0.2.0/24 ', '2001:db8::/32'], ranges: ['192.0.2.0/24'] },
    { given: ['2001:db8::/32'], ranges: ['0.0.0.0/32'] },
  ])('opens the door for its source ranges $given only', async ({ given, ranges }) => {
    await put(SERVICE_KEY, () => aService({ loadBalancerSourceRanges: given }))
    await world.cloud.handle(CLUSTER)
    expect(world.compute.loadBalancers()).toMatchObject([{ sourceRanges: ranges }])
  })

  test('loses its load balancer with its type', async () => {
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    await put(SERVICE_KEY, (service) => {
      const { metadata, ...rest } = service as Service
      return { ...rest, metadata, spec: { ...rest.spec, type: 'ClusterIP' as const } }
    })
    await world.cloud.handle(CLUSTER)
    const service = await read<Service>(SERVICE_KEY)
    expect(service?.status?.loadBalancer).toEqual({})
    expect(service?.metadata.finalizers).toBeUndefined()
    expect(world.compute.loadBalancers()).toEqual([])
  })

  test('goes only when its load balancer is gone', async () => {
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    await put(SERVICE_KEY, leave)
    world.compute.failWith(new StatusError('ServiceUnavailable', 'away'), 'deleteLoadBalancer')
    await world.cloud.handle(CLUSTER)
    expect(await read(SERVICE_KEY)).toBeDefined()
    world.compute.failWith(undefined, 'deleteLoadBalancer')
    await world.cloud.handle(CLUSTER)
    expect(await read(SERVICE_KEY)).toBeUndefined()
    expect(world.compute.loadBalancers()).toEqual([])
  })

  test('that Google refuses says why', async () => {
    world.compute.failWith(new StatusError('Forbidden', 'quota'), 'applyLoadBalancer')
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    expect(await eventsAbout('web')).toContain(
      'Warning SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: quota',
    )
    expect(world.wakes).toEqual([{ inMs: 5000, topic: TOPICS.cloud }])
  })

  test.each([
    {
      when: 'it has two protocols',
      spec: aService({ ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }] }).spec,
    },
    { when: 'it speaks SCTP', spec: aService({ ports: [{ port: 80, protocol: 'SCTP' }] }).spec },
  ])('is refused when $when', async ({ spec }) => {
    await put(SERVICE_KEY, () => aService(spec))
    await world.cloud.handle(CLUSTER)
    expect(world.compute.loadBalancers()).toEqual([])
    expect((await eventsAbout('web')).join()).toMatch(/not supported for LoadBalancer/)
  })

  test('lets go of a pool that is deleted', async () => {
    await put(SERVICE_KEY, () => aService())
    await world.cloud.handle(CLUSTER)
    await put(POOL_KEY, leave)
    await world.cloud.handle(CLUSTER)
    expect(await read(POOL_KEY)).toBeUndefined()
    expect(world.compute.loadBalancers()).toMatchObject([{ groups: [] }])
  })

  test('of another class is left alone', async () => {
    await put(SERVICE_KEY, () => aService({ loadBalancerClass: 'example.com/lb' }))
    await world.cloud.handle(CLUSTER)
    expect((await read<Service>(SERVICE_KEY))?.metadata.finalizers).toBeUndefined()
    expect(world.compute.loadBalancers()).toEqual([])
  })
})

describe('after a crash', () => {
  // The process ends after so many calls to the store and to Google; then another instance runs.
  test.each(Array.from({ length: 12 }, (_, index) => index))(
    'in step %i the next instance finishes the work, and nothing is made twice',
    async (steps) => {
      await put(POOL_KEY, () => aPool())
      await put(SERVICE_KEY, () => aService())
      const { store, compute } = world
      await crashAfter(steps)
      world = restart({ ...world, store, compute })
      await world.cloud.handle(CLUSTER)
      expect((await read<NodePool>(POOL_KEY))?.status).toMatchObject({ phase: 'Running' })
      expect((await read<Service>(SERVICE_KEY))?.status?.loadBalancer?.ingress).toHaveLength(1)
      expect(compute.groups()).toHaveLength(1)
      expect(await compute.listInstances({})).toHaveLength(2)
      expect(compute.loadBalancers()).toHaveLength(1)
    },
  )

  /** Runs one instance on a store and a Compute that stop to answer after `steps` calls. */
  async function crashAfter(steps: number): Promise<void> {
    let left = steps
    const dying = <T extends object>(port: T): T =>
      new Proxy(port, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name)
          if (typeof value !== 'function') return value
          return (...args: unknown[]): unknown => {
            if (left-- <= 0) throw new Error('the process has ended')
            return Reflect.apply(value, target, args)
          }
        },
      })
    const victim = restart({ ...world, store: dying(world.store), compute: dying(world.compute) })
    await victim.cloud.handle(CLUSTER).catch(() => undefined)
  }
})

test('calls for one cluster follow each other, and those that wait share one run', async () => {
  await put(POOL_KEY, () => aPool())
  const runs = [
    world.cloud.handle(CLUSTER),
    world.cloud.handle(CLUSTER),
    world.cloud.handle(CLUSTER),
  ]
  await Promise.all(runs)
  expect(world.compute.calls.filter((call) => call.startsWith('listInstances'))).toHaveLength(2)
  expect(world.compute.calls.filter((call) => call.startsWith('apply'))).toHaveLength(1)
})

test('a cluster that wants nothing costs no call and no commit', async () => {
  await world.cloud.handle(CLUSTER)
  expect(world.compute.calls).toEqual([])
  expect(await commitsSoFar()).toBe(0)
})
