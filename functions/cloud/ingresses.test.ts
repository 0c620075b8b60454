// Ingresses from the objects to HTTP balancers and back, on memory drivers.

import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import {
  createMemoryHttpBalancers,
  type MemoryHttpBalancers,
} from '#emulator/adapters/memory-http-balancers.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { KubeEvent } from '#shared/api/event.ts'
import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import type { Compute } from '#shared/ports/compute.ts'
import type { Store } from '#shared/ports/store.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { StatusError } from '#shared/status.ts'
import { eventually } from '#test/support/eventually.ts'
import { aPod, aService, meta } from '#test/support/objects.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { createCloud, type Cloud } from './cloud.ts'
import { entryName } from './names.ts'

const CLUSTER = 'c-1'
const ZONE = 'us-east1-c'
const ENTRY = entryName(CLUSTER)
const KEY = keyOf(INGRESSES, 'default', 'shop')
const POD_KEY = keyOf('pods', 'default', 'web-1')

let clock: ManualClock
let store: Store
let views: LiveViews
let balancers: MemoryHttpBalancers
let cloud: Cloud
let wakes: number[]
let commits = 0
/** Compute Engine does not answer before this. */
let hanging: Promise<void> | undefined

beforeEach(() => {
  clock = createManualClock()
  store = createMemoryStore({ clock })
  balancers = createMemoryHttpBalancers()
  hanging = undefined
  open()
})

/** Another instance of the function. */
function open(): void {
  const log = createMemoryLog()
  views = createLiveViews({ store, clock, log })
  wakes = []
  const memory = createMemoryCompute({ clock })
  const compute: Compute = {
    ...memory,
    listInstances: async (labels) => {
      await hanging
      return memory.listInstances(labels)
    },
  }
  cloud = createCloud({
    store,
    views,
    compute,
    disks: createMemoryDisks({ compute: memory }),
    httpBalancers: balancers,
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
      healthCheckIntervalSeconds: 1,
      propagationSeconds: 10,
    },
  })
}

function anIngress(spec: Partial<Ingress['spec']> = {}, name = 'shop'): Ingress {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: meta(name),
    spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } }, ...spec },
  }
}

function aSlice(ready: readonly string[], terminating: readonly string[] = []): EndpointSlice {
  const endpoint = (pod: string, index: number, isReady: boolean) => ({
    addresses: [`10.4.0.${index + 2}`],
    conditions: { ready: isReady, serving: true, terminating: !isReady },
    nodeName: 'vm-1',
    zone: ZONE,
    targetRef: { kind: 'Pod', name: pod, namespace: 'default', uid: `uid-${pod}` },
  })
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...meta('web-x'), labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [
      ...ready.map((pod, index) => endpoint(pod, index, true)),
      ...terminating.map((pod, index) => endpoint(pod, index + ready.length, false)),
    ],
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  }
}

const POOL: NodePool = {
  apiVersion: 'container.wherry.dev/v1',
  kind: 'NodePool',
  metadata: { ...meta('pool'), namespace: '' },
  spec: { nodeCount: 0, zone: ZONE, machineType: 'e2-medium', diskSizeGb: 10, spot: false },
}

const SERVICE = { ...aService('web'), metadata: meta('web') }

async function put(...objects: KubeObject[]): Promise<void> {
  const live = await views.open(CLUSTER)
  for (const object of objects) {
    const key = keyOfObject(object)
    const current = (await live.catchUp()).get(key)
    await live.commit({
      id: `test-${commits++}`,
      cause: { actor: 'user:admin', verb: 'update' },
      writes: [{ key, object, expect: current?.metadata.resourceVersion ?? null }],
    })
  }
}

async function remove(key: string): Promise<void> {
  const live = await views.open(CLUSTER)
  const current = (await live.catchUp()).get(key)
  await live.commit({
    id: `test-${commits++}`,
    cause: { actor: 'user:admin', verb: 'delete' },
    writes: [{ key, object: null, expect: current?.metadata.resourceVersion ?? null }],
  })
}

async function read<T extends KubeObject>(key: string): Promise<T> {
  const object = await store.get(CLUSTER, key)
  if (!object) throw new Error(`no ${key}`)
  return object as T
}

async function eventsAbout(name: string): Promise<string[]> {
  const live = await views.open(CLUSTER)
  return ((await live.catchUp()).list('events') as readonly KubeEvent[])
    .filter((event) => event.involvedObject.name === name)
    .map((event) => `${event.type} ${event.reason}: ${event.message}`)
    .toSorted()
}

const revisions = async () => (await store.revisions(CLUSTER, undefined)).revisions.length

describe('an Ingress', () => {
  beforeEach(() => put(POOL, SERVICE, aSlice(['web-1', 'web-2'])))

  test('gets the shared address, and its pods are attached', async () => {
    await put(anIngress(), anIngress({}, 'other'))
    await cloud.handle(CLUSTER)
    const ingress = await read<Ingress>(KEY)
    expect(ingress.status).toEqual({ loadBalancer: { ingress: [{ ip: '127.0.1.1' }] } })
    expect((await read<Ingress>(keyOf(INGRESSES, 'default', 'other'))).status).toEqual(
      ingress.status,
    )
    expect(ingress.metadata.finalizers).toEqual(['networking.gke.io/ingress-finalizer-V2'])
    expect(ingress.metadata.annotations).toEqual({
      'ingress.kubernetes.io/forwarding-rule': `${ENTRY}-fr`,
      'ingress.kubernetes.io/target-proxy': `${ENTRY}-tp`,
      'ingress.kubernetes.io/url-map': `${ENTRY}-um`,
    })
    expect(await eventsAbout('shop')).toEqual([
      'Normal IPChanged: IP is now 127.0.1.1',
      'Normal Sync: Scheduled for sync',
    ])
    const [backend] = balancers.specs()[0]?.backends ?? []
    expect(await balancers.endpoints({ backend: backend?.name ?? '', zone: ZONE })).toMatchObject([
      { instance: 'vm-1', ip: '10.4.0.2', port: 8080 },
      { instance: 'vm-1', ip: '10.4.0.3', port: 8080 },
    ])
  })

  test('costs no call and no write when nothing changed', async () => {
    await put(anIngress())
    await cloud.handle(CLUSTER)
    const [calls, before] = [balancers.calls.length, await revisions()]
    await cloud.handle(CLUSTER)
    expect(balancers.calls).toHaveLength(calls)
    expect(await revisions()).toBe(before)
    expect(wakes).toEqual([])
  })

  test('costs one call and no write when a pod becomes ready', async () => {
    await put(anIngress())
    await cloud.handle(CLUSTER)
    await put(aSlice(['web-1', 'web-2', 'web-3']))
    const [calls, before] = [balancers.calls.length, await revisions()]
    await cloud.handle(CLUSTER)
    expect(balancers.calls.slice(calls)).toEqual([
      expect.stringMatching(/^setEndpoints .* us-east1-c$/),
    ])
    expect(await revisions()).toBe(before)
  })

  test('is put right by an instance that has not seen what another did meanwhile', async () => {
    await put(anIngress())
    await cloud.handle(CLUSTER)
    const first = cloud
    const here = views
    open()
    await put(aSlice(['web-1']))
    await cloud.handle(CLUSTER)
    await put(aSlice(['web-1', 'web-2']))
    views = here
    await first.handle(CLUSTER)
    const [backend] = balancers.specs()[0]?.backends ?? []
    expect(await balancers.endpoints({ backend: backend?.name ?? '', zone: ZONE })).toHaveLength(2)
  })

  test('with a rule that points at nothing says so once, until it does not', async () => {
    const rules = [
      {
        http: {
          paths: [
            {
              path: '/x',
              pathType: 'Prefix' as const,
              backend: { service: { name: 'nope', port: { number: 80 } } },
            },
          ],
        },
      },
    ]
    await put(anIngress({ rules }))
    await cloud.handle(CLUSTER)
    await cloud.handle(CLUSTER)
    const problem = 'could not find service "default/nope"'
    const annotations = async () => (await read<Ingress>(KEY)).metadata.annotations
    expect((await annotations())?.['ingress.wherry.dev/problems']).toBe(problem)
    expect(await eventsAbout('shop')).toContain(
      `Warning Translate: Translation failed: invalid ingress spec: ${problem}`,
    )
    await put({ ...aService('nope'), metadata: meta('nope') })
    await cloud.handle(CLUSTER)
    expect(await annotations()).not.toHaveProperty('ingress.wherry.dev/problems')
  })

  test('that Google refuses says why, and is tried again', async () => {
    balancers.failWith(new StatusError('Forbidden', `Quota 'URL_MAPS' exceeded.`), 'apply')
    await put(anIngress())
    await cloud.handle(CLUSTER)
    expect(await eventsAbout('shop')).toContain(
      `Warning Sync: Error syncing to GCP: error running load balancer syncing routine: Quota 'URL_MAPS' exceeded.`,
    )
    expect(wakes).toEqual([5000])
    balancers.failWith(undefined, 'apply')
    await cloud.handle(CLUSTER)
    expect((await read<Ingress>(KEY)).status?.loadBalancer?.ingress).toHaveLength(1)
  })

  test('goes only when the balancer no longer knows it; the last one takes it along', async () => {
    await put(anIngress(), anIngress({}, 'other'))
    await cloud.handle(CLUSTER)
    const leave = async (key: string): Promise<void> => {
      const object = await read<Ingress>(key)
      await put({
        ...object,
        metadata: { ...object.metadata, deletionTimestamp: '2027-01-15T09:00:00Z' },
      })
    }
    await leave(keyOf(INGRESSES, 'default', 'other'))
    await cloud.handle(CLUSTER)
    expect(await store.get(CLUSTER, keyOf(INGRESSES, 'default', 'other'))).toBeUndefined()
    expect(await balancers.list(ENTRY)).toHaveLength(1)
    await leave(KEY)
    balancers.failWith(new StatusError('ServiceUnavailable', 'away'), 'remove')
    await cloud.handle(CLUSTER)
    expect(await store.get(CLUSTER, KEY)).toBeDefined()
    balancers.failWith(undefined, 'remove')
    await cloud.handle(CLUSTER)
    expect(await store.get(CLUSTER, KEY)).toBeUndefined()
    expect(await balancers.list(ENTRY)).toEqual([])
  })

  test('that changes to another class is let go', async () => {
    await put(anIngress())
    await cloud.handle(CLUSTER)
    const ingress = await read<Ingress>(KEY)
    const other: Ingress = { ...ingress, spec: { ...ingress.spec, ingressClassName: 'nginx' } }
    await put(other)
    await cloud.handle(CLUSTER)
    const after = await read<Ingress>(KEY)
    expect(after.metadata.finalizers).toBeUndefined()
    expect(after.metadata.annotations).toBeUndefined()
    expect(after.status).toEqual({ loadBalancer: {} })
  })
})

describe('an Ingress whose finalizer is taken away by hand', () => {
  const NAMESPACE = keyOf('namespaces', '', 'kube-system')
  const namespace: KubeObject = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { ...meta('kube-system'), namespace: '' },
  }
  const marks = async () => (await read(NAMESPACE)).metadata.annotations

  beforeEach(async () => {
    await put(namespace, POOL, SERVICE, aSlice(['web-1']), anIngress())
    await cloud.handle(CLUSTER)
  })

  test('gets it back', async () => {
    const ingress = await read<Ingress>(KEY)
    const { finalizers, ...metadata } = ingress.metadata
    await put({ ...ingress, metadata })
    await cloud.handle(CLUSTER)
    expect((await read<Ingress>(KEY)).metadata.finalizers).toEqual(finalizers)
  })

  test('and that is deleted by it takes the balancer along, whoever hears of it', async () => {
    expect(await marks()).toEqual({ 'wherry.dev/http-balancer': 'true' })
    await remove(KEY)
    open()
    balancers.failWith(new StatusError('ServiceUnavailable', 'away'), 'remove')
    await cloud.handle(CLUSTER)
    expect(await balancers.list(ENTRY)).toHaveLength(1)
    expect(await marks()).toBeDefined()
    open()
    balancers.failWith(undefined, 'remove')
    await cloud.handle(CLUSTER)
    expect(await balancers.list(ENTRY)).toEqual([])
    expect(await marks()).toEqual({})
    // From now on nobody asks.
    const { length } = balancers.calls
    await cloud.handle(CLUSTER)
    expect(balancers.calls).toHaveLength(length)
  })
})

test('a pod that leaves does not wait for a Compute Engine that hangs', async () => {
  await put(POOL, SERVICE, aSlice(['web-1', 'web-2']), anIngress())
  await cloud.handle(CLUSTER)
  const { promise, resolve } = Promise.withResolvers<void>()
  hanging = promise
  const first = cloud.handle(CLUSTER)
  await put(
    aPod('web-1', {
      phase: 'Running',
      ready: true,
      meta: { deletionTimestamp: '2027-01-15T09:00:00Z', deletionGracePeriodSeconds: 30 },
    }),
    aSlice(['web-2'], ['web-1']),
  )
  const second = cloud.handle(CLUSTER)
  await eventually(async () => {
    const { annotations } = (await read<Pod>(POD_KEY)).metadata
    expect(annotations).toHaveProperty('wherry.dev/drained')
  })
  resolve()
  await Promise.all([first, second])
})

describe('a pod that leaves', () => {
  const leaving: Pod = aPod('web-1', {
    phase: 'Running',
    ready: true,
    meta: { deletionTimestamp: '2027-01-15T09:00:00Z', deletionGracePeriodSeconds: 30 },
  })

  beforeEach(async () => {
    await put(POOL, SERVICE, aSlice(['web-1', 'web-2']), anIngress())
    await cloud.handle(CLUSTER)
    await put(leaving, aSlice(['web-2'], ['web-1']))
  })

  test('is detached, and told from when on nobody comes', async () => {
    const before = await revisions()
    await cloud.handle(CLUSTER)
    const pod = await read<Pod>(POD_KEY)
    const drained = Date.parse(pod.metadata.annotations?.['wherry.dev/drained'] ?? '')
    expect(drained - clock.now()).toBeGreaterThanOrEqual(10_000)
    expect(drained - clock.now()).toBeLessThan(11_000)
    const [backend] = balancers.specs()[0]?.backends ?? []
    expect(await balancers.endpoints({ backend: backend?.name ?? '', zone: ZONE })).toHaveLength(1)
    // One commit, and no second one.
    await cloud.handle(CLUSTER)
    expect(await revisions()).toBe(before + 1)
  })

  test('is not told so while it could not be detached', async () => {
    balancers.failWith(new StatusError('ServiceUnavailable', 'away'), 'setEndpoints')
    await cloud.handle(CLUSTER)
    expect((await read<Pod>(POD_KEY)).metadata.annotations).toBeUndefined()
    expect(wakes).toEqual([5000])
    balancers.failWith(undefined, 'setEndpoints')
    await cloud.handle(CLUSTER)
    expect((await read<Pod>(POD_KEY)).metadata.annotations).toHaveProperty('wherry.dev/drained')
  })
})
