import { describe, expect, test, vi } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { VmLook, VmState } from '#shared/ports/vm-look.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { StatusError } from '#shared/status.ts'
import { aNode, aPod, aService } from '#test/support/objects.ts'
import { FLEET } from '#shared/api/cluster.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import { createCluster } from '../clusters/fleet.ts'
import { beginTeardown } from '../clusters/teardown.ts'
import type { VisitOptions } from './visit.ts'
import { STATE_KEY, SWEEP } from './state.ts'
import { createSweep } from './sweep.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

async function world(options: Partial<VisitOptions> = {}) {
  const clock = createManualClock(1_800_000_000_000)
  const data = createMemoryData()
  const bus = createMemoryBus({ isManual: true })
  const log = createMemoryLog()
  const users = createMemoryStore({ clock, data })
  const timers = { wake: async () => undefined, close: async () => undefined }
  const instance = () => {
    const store = createMemoryStore({ clock, data })
    const views = createLiveViews({ store, clock, log })
    const deps = { store, views, bus, timers, clock, log, vms: look, options }
    return { store, sweep: createSweep(deps) }
  }
  const vms = new Map<string, Omit<VmState, 'cluster' | 'id'>>()
  let isComputeAway = false
  const look: VmLook = async () => {
    if (isComputeAway) throw new StatusError('ServiceUnavailable', 'Compute Engine is away')
    return [...vms].map(([id, vm]) => ({ cluster: id.split('-')[0] ?? '', id, ...vm }))
  }
  const heard: string[] = []
  for (const topic of Object.values(TOPICS)) {
    await bus.subscribe(topic, topic, async ({ attributes }) => {
      heard.push(
        `${topic} ${attributes['cluster']}${attributes['node'] ? ` ${attributes['node']}` : ''}`,
      )
    })
  }
  let commits = 0
  return {
    ...instance(),
    instance,
    clock,
    data,
    bus,
    users,
    vms,
    loseCompute: (isAway: boolean) => void (isComputeAway = isAway),
    put: async (cluster: string, object: KubeObject, requeueAtMs?: number) => {
      const key = keyOfObject(object)
      const expect = (await users.get(cluster, key))?.metadata.resourceVersion ?? null
      const cause = { actor: 'user:admin', verb: 'create' }
      await users.commit(cluster, {
        id: `put-${++commits}`,
        cause,
        writes: [{ key, object, expect }],
        ...(requeueAtMs ? { requeueAtMs } : {}),
      })
    },
    /** Runs the sweep and answers what it said. */
    minute: async (sweep: { run(): Promise<void> }): Promise<string[]> => {
      await clock.advance(MINUTE)
      heard.splice(0)
      await sweep.run()
      while (await bus.deliver());
      return heard.slice()
    },
  }
}

describe('the sweep', () => {
  test('says of each change once more whom it concerns, and then no more', async () => {
    const { put, minute, sweep } = await world()
    await put('one', aNode('a'))
    await put('two', aService('web'))
    expect(await minute(sweep)).toEqual([
      'wherry-changes one',
      'wherry-nodes one *',
      'wherry-changes two',
    ])
    expect(await minute(sweep)).toEqual([])
    await put('one', aPod('p', { node: 'a' }))
    expect(await minute(sweep)).toEqual(['wherry-changes one', 'wherry-nodes one a'])
    expect(await minute(sweep)).toEqual([])
  })

  test('costs one read and no write in an idle minute, two reads after a start', async () => {
    const { put, minute, sweep, store, instance } = await world()
    await put('one', aNode('a'))
    await minute(sweep)
    await minute(sweep)
    const before = store.usage()
    for (let index = 0; index < 10; index++) await minute(sweep)
    const after = store.usage()
    expect(after.reads - before.reads).toBe(10)
    expect([after.writes - before.writes, after.deletes - before.deletes]).toEqual([0, 0])
    const fresh = instance()
    await minute(fresh.sweep)
    expect(fresh.store.usage()).toEqual({ reads: 2, writes: 0, deletes: 0 })
  })

  test('wakes a cluster when it is due', async () => {
    const { put, minute, sweep, clock } = await world()
    await put('one', aPod('p'), clock.now() + 3 * MINUTE)
    expect(await minute(sweep)).toEqual(['wherry-changes one'])
    expect(await minute(sweep)).toEqual([])
    expect(await minute(sweep)).toEqual(['wherry-changes one'])
    expect(await minute(sweep)).toEqual([])
  })

  test('knows after a start what an earlier one has passed on and what is due', async () => {
    const { put, minute, sweep, instance, clock } = await world()
    await put('one', aPod('p'), clock.now() + 3 * MINUTE)
    await minute(sweep)
    expect(await minute(instance().sweep)).toEqual([])
    expect(await minute(instance().sweep)).toEqual(['wherry-changes one'])
  })

  test('two at the same time do not lose anything', async () => {
    const { put, minute, instance, bus } = await world()
    const [one, two] = [instance(), instance()]
    await put('one', aPod('p'))
    await minute({ run: async () => void (await Promise.all([one.sweep.run(), two.sweep.run()])) })
    expect(bus.published()).toBeGreaterThan(0)
    await put('one', aPod('q'))
    expect(await minute(two.sweep)).toEqual(['wherry-changes one'])
    // The other one finds out when it wants to note that it has said so too.
    await minute(one.sweep)
    expect(await minute(one.sweep)).toEqual([])
    expect(await minute(two.sweep)).toEqual([])
  })

  test('says again in the next minute what it could not say', async () => {
    const { put, minute, sweep, bus } = await world()
    await put('one', aPod('p'))
    const away = vi
      .spyOn(bus, 'publish')
      .mockRejectedValue(new StatusError('ServiceUnavailable', 'away'))
    expect(await minute(sweep)).toEqual([])
    away.mockRestore()
    expect(await minute(sweep)).toEqual(['wherry-changes one'])
    expect(await minute(sweep)).toEqual([])
  })

  test('writes a checkpoint when a log has grown, and trims what is older than the retention', async () => {
    const { put, minute, sweep, users, clock, data } = await world({
      checkpointEvery: 10,
      retentionMs: 5 * MINUTE,
    })
    await put('one', aPod('first'))
    await minute(sweep)
    for (let index = 0; index < 8; index++) await put('one', aPod(`p${index}`))
    await minute(sweep)
    expect(await users.readCheckpoint('one')).toBeUndefined()
    await put('one', aPod('q1'))
    await put('one', aPod('q2'))
    await minute(sweep)
    expect((await users.readCheckpoint('one'))?.objects).toHaveLength(11)
    expect(data.clusters.get('one')?.trimmed).toBe(0)
    await clock.advance(10 * MINUTE)
    for (let index = 0; index < 10; index++) await put('one', aPod(`r${index}`))
    await minute(sweep)
    expect(data.clusters.get('one')?.trimmed).toBe(11)
  })

  test('sees a cluster that is being deleted to its end', async () => {
    const { minute, sweep, users, clock, bus, data } = await world()
    const views = createLiveViews({ store: users, clock, log: createMemoryLog() })
    const deps = { store: users, views, bus, clock }
    const cluster = await createCluster(deps, {
      spec: { project: 'p', location: 'z', displayName: 'c' },
      nodePools: [
        {
          name: 'pool',
          spec: { nodeCount: 1, zone: 'z', machineType: 'm', diskSizeGb: 10, spot: false },
        },
      ],
      ca: '',
    })
    await minute(sweep)
    await beginTeardown(deps, cluster)
    await minute(sweep)
    const id = cluster.metadata.name
    const live = await views.open(id)
    expect(data.clusters.get(id)?.objects.size).toBeGreaterThan(0)
    // The cloud function has taken the VMs away.
    const key = 'nodepools.container.wherry.dev//pool'
    const expected = (await live.catchUp()).get(key)?.metadata.resourceVersion ?? null
    await live.commit({
      id: 'pool-gone',
      cause: { actor: 'function:cloud', verb: 'delete' },
      writes: [{ key, object: null, expect: expected }],
    })
    for (let index = 0; index < 3; index++) await minute(sweep)
    expect(data.clusters.get(id)?.objects.size ?? 0).toBe(0)
    expect([...(data.clusters.get(FLEET)?.objects.keys() ?? [])]).toEqual([])
    expect(await minute(sweep)).toEqual([])
    expect(JSON.stringify(await users.get(SWEEP, STATE_KEY))).not.toContain(id)
  })

  test('forgets a cluster that somebody else has ended', async () => {
    const { minute, sweep, users, clock, bus } = await world()
    const views = createLiveViews({ store: users, clock, log: createMemoryLog() })
    const deps = { store: users, views, bus, clock }
    const spec = { project: 'p', location: 'z', displayName: 'c' }
    const cluster = await createCluster(deps, { spec, nodePools: [], ca: '' })
    await minute(sweep)
    const remembered = async (): Promise<string> =>
      JSON.stringify(await users.get(SWEEP, STATE_KEY))
    expect(await remembered()).toContain(cluster.metadata.name)
    await beginTeardown(deps, cluster)
    await minute(sweep)
    expect(await remembered()).not.toContain(cluster.metadata.name)
  })
})

describe('its look at Compute Engine', () => {
  test('wakes the cloud function of a cluster whose VMs are not as they were, once', async () => {
    const { put, minute, sweep, vms, store } = await world()
    await put('one', aPod('p'))
    await put('two', aPod('p'))
    vms.set('one-a', { status: 'RUNNING', isHealthy: true })
    vms.set('two-a', { status: 'RUNNING', isHealthy: true })
    await minute(sweep)
    expect((await minute(sweep)).sort()).toEqual(['wherry-cloud one', 'wherry-cloud two'])
    expect(await minute(sweep)).toEqual([])
    vms.set('one-a', { status: 'TERMINATED', isHealthy: undefined })
    expect(await minute(sweep)).toEqual(['wherry-cloud one'])
    vms.set('two-a', { status: 'RUNNING', isHealthy: false })
    expect(await minute(sweep)).toEqual(['wherry-cloud two'])
    vms.delete('one-a')
    expect(await minute(sweep)).toEqual(['wherry-cloud one'])
    const before = store.usage()
    for (let index = 0; index < 5; index++) expect(await minute(sweep)).toEqual([])
    expect(store.usage()).toEqual({ ...before, reads: before.reads + 5 })
  })

  test('knows after a start how the VMs were', async () => {
    const { put, minute, sweep, vms, instance } = await world()
    await put('one', aPod('p'))
    vms.set('one-a', { status: 'RUNNING', isHealthy: true })
    await minute(sweep)
    await minute(sweep)
    expect(await minute(instance().sweep)).toEqual([])
    vms.set('one-a', { status: 'STOPPING', isHealthy: true })
    expect(await minute(instance().sweep)).toEqual(['wherry-cloud one'])
  })

  test('keeps nobody waiting when it fails, and is made up for', async () => {
    const { put, minute, sweep, vms, loseCompute, bus } = await world()
    await put('one', aPod('p'))
    await minute(sweep)
    vms.set('one-a', { status: 'RUNNING', isHealthy: undefined })
    loseCompute(true)
    await put('one', aPod('q'))
    expect(await minute(sweep)).toEqual(['wherry-changes one'])
    loseCompute(false)
    const away = vi
      .spyOn(bus, 'publish')
      .mockRejectedValue(new StatusError('ServiceUnavailable', 'away'))
    expect(await minute(sweep)).toEqual([])
    away.mockRestore()
    expect(await minute(sweep)).toEqual(['wherry-cloud one'])
  })

  test('goes on for a cluster in which nothing changes for weeks', async () => {
    const { put, minute, sweep, vms, clock } = await world()
    await put('one', aPod('p'))
    await put('bare', aPod('p'))
    vms.set('one-a', { status: 'RUNNING', isHealthy: undefined })
    await minute(sweep)
    await minute(sweep)
    await clock.advance(20 * DAY)
    await put('two', aPod('p'))
    await minute(sweep)
    vms.set('one-a', { status: 'TERMINATED', isHealthy: undefined })
    vms.set('bare-a', { status: 'RUNNING', isHealthy: undefined })
    expect(await minute(sweep)).toEqual(['wherry-cloud one'])
  })
})
