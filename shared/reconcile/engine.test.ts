import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aPod, meta } from '#test/support/objects.ts'
import type { ConfigMap } from '../api/config.ts'
import type { KubeEvent } from '../api/event.ts'
import type { KubeObject } from '../api/meta.ts'
import { keyOf, splitKey } from '../key.ts'
import type { ClusterView } from '../view/view.ts'
import { draftMeta } from './draft.ts'
import { reconcileToFixpoint } from './engine.ts'
import { expireEvents } from './event-ttl.ts'
import type { EventDraft, Outcome, Reconciler } from './outcome.ts'

const KEY = keyOf('configmaps', 'default', 'start')

function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: draftMeta({ name, namespace: 'default' }),
    data,
  }
}

/** A controller of ConfigMaps that does what the test says. */
function controller(name: string, reconcile: Reconciler['reconcile']): Reconciler {
  return {
    name,
    wakes: ({ key }) => (splitKey(key).resource === 'configmaps' ? [key] : []),
    reconcile,
  }
}

function start(reconcilers: readonly Reconciler[]): Brain {
  const brain = new Brain(reconcilers)
  brain.put(configMap('start', { n: '0' }))
  return brain
}

function numberOf(object: KubeObject | undefined): number {
  const data = object && 'data' in object ? (object as ConfigMap).data : undefined
  return Number(data?.['n'] ?? Number.NaN)
}

function counted(object: KubeObject, n: number): ConfigMap {
  return { ...object, data: { n: String(n) } }
}

/** Counts a ConfigMap up until it has reached a limit. */
const countTo = (limit: number): Reconciler =>
  controller('count', (reader, key) => {
    const object = reader.get(key)
    if (!object || numberOf(object) >= limit) return { writes: [] }
    return { writes: [{ do: 'put', object: counted(object, numberOf(object) + 1) }] }
  })

describe('a pass', () => {
  test('goes on until nobody wants anything, and commits once', () => {
    const brain = start([countTo(5)])
    const { commits, writes } = brain.settle()
    expect(numberOf(brain.view.get(KEY))).toBe(5)
    expect({ commits, writes }).toEqual({ commits: 1, writes: [`update ${KEY}`] })
  })

  test('gives new objects a uid and a time, the same in every run on the same state', () => {
    const maker = controller('make', () => ({
      writes: [{ do: 'put', object: configMap('made') }],
    }))
    const made = [start([maker]), start([maker])].map((brain) => {
      brain.settle()
      return brain.view.get(keyOf('configmaps', 'default', 'made'))?.metadata
    })
    expect(made[0]?.uid).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    )
    expect(made[0]?.creationTimestamp).toBe('2027-01-15T08:00:00Z')
    expect(made[0]).toEqual(made[1])
  })

  test('gives a name that is used again another uid', () => {
    const brain = start([
      controller('make', (reader) =>
        numberOf(reader.get(KEY)) === 0
          ? { writes: [{ do: 'put', object: configMap('made') }] }
          : { writes: [{ do: 'remove', key: keyOf('configmaps', 'default', 'made') }] },
      ),
    ])
    const uid = (): string | undefined =>
      brain.view.get(keyOf('configmaps', 'default', 'made'))?.metadata.uid
    brain.settle()
    const first = uid()
    brain.put(configMap('start', { n: '1' }))
    brain.settle()
    expect(uid()).toBeUndefined()
    brain.put(configMap('start', { n: '0' }))
    brain.settle()
    expect(uid()).not.toBe(first)
  })

  test('ends when two controllers disagree for ever, and says so', () => {
    const set = (name: string, n: number): Reconciler =>
      controller(name, (reader, key) => {
        const object = reader.get(key)
        return object ? { writes: [{ do: 'put', object: counted(object, n) }] } : { writes: [] }
      })
    const view = start([]).view
    const result = reconcileToFixpoint({
      reader: view,
      work: [{ reconciler: 'a', key: KEY }],
      now: 0,
      reconcilers: [set('a', 1), set('b', 2)],
      limits: { stepsPerKey: 10 },
    })
    expect(result.faults.map(({ message }) => message)).toEqual([
      `a did not come to rest after 10 steps on ${KEY}`,
    ])
    expect(result.requeueAtMs).toBe(60_000)
  })

  test('goes on without a controller that throws, and asks it again later', () => {
    const broken = controller('broken', () => {
      throw new Error('oops')
    })
    const brain = start([broken, countTo(2)])
    const { faults } = brain.settle()
    expect(new Set(faults)).toEqual(new Set([`broken failed: oops on ${KEY}`]))
    expect(numberOf(brain.view.get(KEY))).toBe(2)
    expect(brain.dueAtMs).toBe(brain.now + 60_000)
  })

  test('is cut at the limit and goes on in the next one', () => {
    const many = controller('many', (reader, key) =>
      key === KEY
        ? {
            writes: Array.from({ length: 10 }, (_, index) => ({
              do: 'put' as const,
              object: configMap(`made-${reader.list('configmaps').length + index}`),
            })),
            ...(reader.list('configmaps').length < 90 ? { requeueAtMs: 0 } : {}),
          }
        : { writes: [] },
    )
    const view = start([]).view
    const result = reconcileToFixpoint({
      reader: view,
      work: [{ reconciler: 'many', key: KEY }],
      now: 0,
      reconcilers: [many],
      limits: { writes: 25 },
    })
    expect(result.writes).toHaveLength(30)
    expect(result.rest).toContainEqual({ reconciler: 'many', key: KEY })
    expect(result.requeueAtMs).toBe(0)
  })

  test('makes nothing in a namespace that is going', () => {
    const brain = start([
      controller('make', () => ({
        writes: [{ do: 'put', object: configMap('made') }],
        events: [news(aPod('p'), 'said')],
      })),
    ])
    const namespace: KubeObject = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { ...meta('default', { deletionTimestamp: '2027-01-15T08:00:00Z' }) },
    }
    delete namespace.metadata.namespace
    brain.put(namespace)
    expect(brain.settle()).toMatchObject({ commits: 0, events: [] })
  })
})

function news(about: KubeObject, message: string): EventDraft {
  return { about, type: 'Normal', reason: 'Said', message, source: 'tester' }
}

describe('Events', () => {
  const pod = aPod('p')
  const said = (reader: ClusterView): KubeEvent[] => [...reader.list('events')] as KubeEvent[]

  test('are recorded in the same commit, in the words of core/v1', () => {
    const brain = start([
      controller('say', (reader, key): Outcome => {
        const object = reader.get(key)
        if (!object || numberOf(object) > 0) return { writes: [] }
        return {
          writes: [{ do: 'put', object: counted(object, 1) }],
          events: [news(pod, 'hello')],
        }
      }),
    ])
    expect(brain.settle().commits).toBe(1)
    const [event] = said(brain.view)
    expect(event?.metadata.name).toMatch(/^p\.[0-9a-f]{16}$/)
    expect(event).toMatchObject({
      involvedObject: {
        kind: 'Pod',
        namespace: 'default',
        name: 'p',
        uid: 'uid-p',
        apiVersion: 'v1',
      },
      reason: 'Said',
      message: 'hello',
      source: { component: 'tester' },
      firstTimestamp: '2027-01-15T08:00:00Z',
      count: 1,
      type: 'Normal',
    })
    brain.wait(60)
    brain.put(configMap('start', { n: '0' }))
    brain.settle()
    expect(said(brain.view)).toMatchObject([
      { count: 2, firstTimestamp: '2027-01-15T08:00:00Z', lastTimestamp: '2027-01-15T08:01:00Z' },
    ])
  })

  test('of a step that changed nothing are recorded once', () => {
    const brain = start([controller('say', () => ({ writes: [], events: [news(pod, 'hello')] }))])
    expect(brain.settle().events).toEqual(['Said: hello'])
    brain.put(configMap('start', { n: '7' }))
    expect(brain.settle().events).toEqual([])
  })

  test('that are older than an hour go with the next commit, never alone', () => {
    const view = new Brain([])
    const event = (name: string, lastTimestamp: string): KubeEvent => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { ...meta(name), creationTimestamp: lastTimestamp },
      involvedObject: {},
      lastTimestamp,
    })
    view.put(event('old', '2027-01-15T06:59:59Z'), event('young', '2027-01-15T07:30:00Z'))
    view.put(configMap('start', { n: '0' }))
    const pass = (work: { reconciler: string; key: string }[]) =>
      reconcileToFixpoint({
        reader: view.view,
        work,
        now: view.now,
        reconcilers: [countTo(1)],
        housekeeping: expireEvents,
      }).writes.map(({ key, object }) => `${object ? 'put' : 'remove'} ${key}`)
    expect(pass([])).toEqual([])
    expect(pass([{ reconciler: 'count', key: KEY }])).toEqual([
      `put ${KEY}`,
      'remove events/default/old',
    ])
  })
})
