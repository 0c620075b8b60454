import { describe, expect, test, vi } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Store } from '#shared/ports/store.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import type { Limits } from '#shared/reconcile/limits.ts'
import { StatusError } from '#shared/status.ts'
import { aDeployment, aNode, aPod } from '#test/support/objects.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import { createReconcile } from './reconcile.ts'

function world({ limits = {}, around = (store: Store): Store => store } = {}) {
  const clock = createManualClock(1_800_000_000_000)
  const data = createMemoryData()
  const bus = createMemoryBus({ isManual: true })
  const log = createMemoryLog()
  const wakes: number[] = []
  const heard: string[] = []
  const timers = {
    wake: async (_cluster: string, atMs: number) => void wakes.push(atMs),
    close: async () => undefined,
  }
  const plain = createMemoryStore({ clock, data })
  const instance = (store: Store, more: Partial<Limits> = limits) =>
    createReconcile({
      views: createLiveViews({ store, clock, log }),
      bus,
      timers,
      clock,
      log,
      limits: more,
    })
  let commits = 0
  return {
    clock,
    data,
    bus,
    log,
    wakes,
    heard,
    plain,
    reconcile: instance(around(plain)),
    /** Another instance of the function. */
    another: () => instance(createMemoryStore({ clock, data })),
    listen: async () => {
      for (const topic of [TOPICS.nodes, TOPICS.cloud]) {
        await bus.subscribe(topic, topic, async ({ attributes }) => {
          heard.push(attributes['node'] ?? 'cloud')
        })
      }
    },
    /** What somebody else commits. */
    put: async (...objects: KubeObject[]) => {
      const writes = await Promise.all(
        objects.map(async (object) => {
          const key = keyOfObject(object)
          const expect = (await plain.get('c', key))?.metadata.resourceVersion ?? null
          const uid = object.metadata.uid || `uid-${key}`
          return { key, object: { ...object, metadata: { ...object.metadata, uid } }, expect }
        }),
      )
      const id = `put-${++commits}`
      await plain.commit('c', { id, cause: { actor: 'user:admin', verb: 'create' }, writes })
    },
    history: () => data.clusters.get('c')?.log.map(({ revision }) => revision) ?? [],
    pods: async (): Promise<Pod[]> => {
      const { revisions } = await plain.revisions('c', undefined)
      const pods = new Map<string, KubeObject>()
      for (const { key, after } of revisions.flatMap(({ changes }) => changes)) {
        if (!key.startsWith('pods/')) continue
        if (after) pods.set(key, after)
        else pods.delete(key)
      }
      return [...pods.values()] as Pod[]
    },
    deliverAll: async () => {
      while (await bus.deliver());
    },
  }
}

describe('reconcile', () => {
  test('turns one apply into one commit: pods made and bound', async () => {
    const { put, reconcile, history, pods, deliverAll, listen, heard } = world()
    await listen()
    await put(aNode('a'), aNode('b'), aDeployment('web'))
    await reconcile.handle('c')
    expect(history().map(({ cause }) => cause.actor)).toEqual(['user:admin', 'function:reconcile'])
    const nodes = (await pods()).map(({ spec }) => spec.nodeName)
    expect([nodes.length, new Set(nodes)]).toEqual([3, new Set(['a', 'b'])])
    expect(history()[1]?.decisions.filter(({ by }) => by === 'scheduler')).toHaveLength(3)
    await deliverAll()
    expect(heard).toEqual(['*'])
  })

  test('commits and says nothing when it is called again', async () => {
    const { put, reconcile, history, bus, another } = world()
    await put(aNode('a'), aDeployment('web'))
    await reconcile.handle('c')
    const said = bus.published()
    await reconcile.handle('c')
    expect(history()).toHaveLength(2)
    expect(bus.published()).toBe(said)
    await another().handle('c')
    expect(history()).toHaveLength(2)
  })

  test('wakes only the node that a change concerns', async () => {
    const { put, reconcile, deliverAll, listen, heard } = world()
    await listen()
    await put(aNode('a'), aNode('b'), aNode('c'))
    await reconcile.handle('c')
    await deliverAll()
    heard.splice(0)
    await put(aPod('p', { node: 'b' }))
    await reconcile.handle('c')
    await deliverAll()
    expect(heard).toEqual(['b'])
  })

  test('computes again when somebody was faster', async () => {
    let race: (() => Promise<void>) | undefined
    const { put, reconcile, history, pods } = world({
      around: (store) =>
        Object.assign(Object.create(store) as Store, {
          commit: async (...args: Parameters<Store['commit']>) => {
            const run = race
            race = undefined
            await run?.()
            return store.commit(...args)
          },
          revisions: (...args: Parameters<Store['revisions']>) => store.revisions(...args),
          readCheckpoint: (...args: Parameters<Store['readCheckpoint']>) =>
            store.readCheckpoint(...args),
        }),
    })
    await put(aNode('a'), aDeployment('web'))
    race = () => put(aDeployment('web', { replicas: 5 }))
    await reconcile.handle('c')
    expect(history().map(({ cause }) => cause.actor)).toEqual([
      'user:admin',
      'user:admin',
      'function:reconcile',
    ])
    expect(await pods()).toHaveLength(5)
  })

  test('of one cluster runs one at a time; calls meanwhile share the next run', async () => {
    let running = 0
    let most = 0
    let reads = 0
    const { put, reconcile, pods } = world({
      around: (store) =>
        Object.assign(Object.create(store) as Store, {
          commit: (...args: Parameters<Store['commit']>) => store.commit(...args),
          readCheckpoint: (...args: Parameters<Store['readCheckpoint']>) =>
            store.readCheckpoint(...args),
          revisions: async (...args: Parameters<Store['revisions']>) => {
            reads++
            most = Math.max(most, ++running)
            const tail = await store.revisions(...args)
            running--
            return tail
          },
        }),
    })
    await put(aNode('a'), aDeployment('web'))
    await reconcile.handle('c')
    reads = 0
    await put(aDeployment('web', { replicas: 4 }))
    await Promise.all([1, 2, 3, 4, 5].map(() => reconcile.handle('c')))
    expect(most).toBe(1)
    // The first run: one read, and one of its own commit. The second, for all the others: one.
    expect(reads).toBe(3)
    expect(await pods()).toHaveLength(4)
  })

  test('asks to be woken at the next deadline, once', async () => {
    const { put, reconcile, wakes, history, clock } = world()
    await put(aNode('a'), aDeployment('web', { progressDeadlineSeconds: 60 }))
    await reconcile.handle('c')
    await reconcile.handle('c')
    const atMs = clock.now() + 60_000
    expect(wakes).toEqual([atMs])
    expect(history()[1]?.requeueAtMs).toBe(atMs)
    await clock.advance(60_000)
    await reconcile.handle('c')
    const [, , timeout] = history()
    expect(JSON.stringify(timeout?.changes)).toContain('ProgressDeadlineExceeded')
  })

  test('does what does not fit into one commit in several', async () => {
    const { put, reconcile, history, pods } = world({ limits: { writes: 40 } })
    await put(aNode('a', { cpu: '999', pods: '999' }), aDeployment('web', { replicas: 120 }))
    await reconcile.handle('c')
    expect(history().length).toBeGreaterThan(3)
    expect((await pods()).filter(({ spec }) => spec.nodeName)).toHaveLength(120)
  })

  test('makes its commits smaller when the store finds them too large', async () => {
    const { put, reconcile, pods, log } = world({
      around: (store) =>
        Object.assign(Object.create(store) as Store, {
          revisions: (...args: Parameters<Store['revisions']>) => store.revisions(...args),
          readCheckpoint: (...args: Parameters<Store['readCheckpoint']>) =>
            store.readCheckpoint(...args),
          commit: async (...[cluster, commit]: Parameters<Store['commit']>) => {
            if (commit.writes.length > 250) {
              throw new StatusError('RequestEntityTooLarge', 'too large')
            }
            return store.commit(cluster, commit)
          },
        }),
    })
    await put(aNode('a', { cpu: '999', pods: '999' }), aDeployment('web', { replicas: 150 }))
    await reconcile.handle('c')
    expect(log.entries.filter(({ message }) => message === 'a commit was too large')).toHaveLength(
      1,
    )
    expect((await pods()).filter(({ spec }) => spec.nodeName)).toHaveLength(150)
  })

  test('says later what it could not say at once', async () => {
    const { put, reconcile, bus, deliverAll, listen, heard } = world()
    await listen()
    const away = vi
      .spyOn(bus, 'publish')
      .mockRejectedValue(new StatusError('ServiceUnavailable', 'away'))
    await put(aNode('a'), aPod('p', { node: 'a' }))
    await reconcile.handle('c')
    away.mockRestore()
    await reconcile.handle('c')
    await deliverAll()
    expect(heard).toEqual(['*'])
  })

  test('rejects while the store is away, so that the message comes again', async () => {
    const { put, reconcile, pods } = world({
      around: (store) =>
        Object.assign(Object.create(store) as Store, {
          commit: failingOnce((...args: Parameters<Store['commit']>) => store.commit(...args)),
          revisions: (...args: Parameters<Store['revisions']>) => store.revisions(...args),
          readCheckpoint: (...args: Parameters<Store['readCheckpoint']>) =>
            store.readCheckpoint(...args),
        }),
    })
    await put(aNode('a'), aDeployment('web'))
    await expect(reconcile.handle('c')).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
    await reconcile.handle('c')
    expect(await pods()).toHaveLength(3)
  })
})

function failingOnce<A extends unknown[], R>(
  call: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  let hasFailed = false
  return async (...args) => {
    if (hasFailed) return call(...args)
    hasFailed = true
    throw new StatusError('ServiceUnavailable', 'away')
  }
}
