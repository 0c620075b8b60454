import { assert, constantFrom, integer, option, property, record, array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { KubeObject } from '../api/meta.ts'
import { keyOf } from '../key.ts'
import type { Key } from '../key.ts'
import type { Change, Revision } from '../ports/store.ts'
import { ClusterView } from './view.ts'

interface Sketch {
  namespace?: string
  labels?: Record<string, string>
  owner?: string
  node?: string
  note?: number
}

function pod(name: string, sketch: Sketch = {}): KubeObject & { spec: object } {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: sketch.namespace ?? 'default',
      uid: `uid-${name}`,
      creationTimestamp: '2026-11-22T15:04:05Z',
      ...(sketch.labels ? { labels: sketch.labels } : {}),
      ...(sketch.owner
        ? {
            ownerReferences: [
              { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: sketch.owner, uid: sketch.owner },
            ],
          }
        : {}),
    },
    spec: { ...(sketch.node ? { nodeName: sketch.node } : {}), note: sketch.note ?? 0 },
  }
}

let revisions = 0
function revision(at: number, ...changes: Change[]): Revision {
  return {
    id: `r${revisions++}`,
    version: String(at).padStart(16, '0'),
    cause: { actor: 'user:test', verb: 'update' },
    changes,
    decisions: [],
  }
}

function put(object: KubeObject): Change {
  return {
    key: keyOf('pods', object.metadata.namespace, object.metadata.name),
    after: object,
  }
}

const names = (objects: readonly KubeObject[]): string[] =>
  objects.map((object) => object.metadata.name)

describe('ClusterView', () => {
  test('lists in key order, of one namespace or of all', () => {
    const view = new ClusterView()
    view.apply(revision(1, put(pod('b')), put(pod('z', { namespace: 'a-b' }))))
    view.apply(revision(2, put(pod('a')), put(pod('y', { namespace: 'a' }))))
    expect(names(view.list('pods', 'default'))).toEqual(['a', 'b'])
    // As etcd orders keys: '-' comes before '/'.
    expect(names(view.list('pods'))).toEqual(['z', 'y', 'a', 'b'])
    expect(view.list('services')).toEqual([])
  })

  test('answers the same array while nothing changed, and never changes one it gave', () => {
    const view = new ClusterView()
    view.apply(revision(1, put(pod('a')), put(pod('b'))))
    const before = view.list('pods')
    expect(view.list('pods')).toBe(before)
    view.apply(revision(2, { key: 'pods/default/a', before: pod('a') }))
    expect(names(before)).toEqual(['a', 'b'])
    expect(names(view.list('pods'))).toEqual(['b'])
  })

  test('finds by owner, node and label, also after these change', () => {
    const view = new ClusterView()
    view.apply(
      revision(1, put(pod('a', { owner: 'rs', node: 'n1', labels: { app: 'x', 'k/y': 'z' } }))),
    )
    expect(names(view.ownedBy('rs'))).toEqual(['a'])
    expect(names(view.podsOnNode('n1'))).toEqual(['a'])
    expect(names(view.labelled('pods', 'default', 'app', 'x'))).toEqual(['a'])
    expect(names(view.labelled('pods', 'default', 'k/y', 'z'))).toEqual(['a'])
    expect(view.labelled('pods', 'other', 'app', 'x')).toEqual([])
    view.apply(revision(2, put(pod('a', { node: 'n2', labels: { app: 'x' }, note: 2 }))))
    expect(view.ownedBy('rs')).toEqual([])
    expect(view.podsOnNode('n1')).toEqual([])
    expect(names(view.podsOnNode('n2'))).toEqual(['a'])
    expect(view.labelled('pods', 'default', 'k/y', 'z')).toEqual([])
    expect(view.labelled('pods', 'default', 'app', 'x')).toEqual([
      pod('a', { node: 'n2', labels: { app: 'x' }, note: 2 }),
    ])
    view.apply(revision(3, { key: 'pods/default/a' }))
    expect(view.podsOnNode('n2')).toEqual([])
    expect(view.get('pods/default/a')).toBeUndefined()
  })

  test('takes a revision once, and revisions of one version together', () => {
    const view = new ClusterView()
    const first = revision(5, put(pod('a')))
    const tied = revision(5, put(pod('b')))
    expect(view.apply(first)).toBe(true)
    expect(view.apply(tied)).toBe(true)
    expect(view.apply(revision(6, { key: 'pods/default/a' }))).toBe(true)
    expect(view.apply(first)).toBe(false)
    expect(names(view.list('pods'))).toEqual(['b'])
    expect(view.version).toBe('0000000000000006')
  })

  test('refuses a revision that comes too late, rather than to be wrong silently', () => {
    const view = new ClusterView()
    view.apply(revision(5, put(pod('a'))))
    expect(() => view.apply(revision(4, put(pod('b'))))).toThrow(/came after version/)
  })
})

const history = array(
  array(
    record({
      name: constantFrom('a', 'b', 'c', 'd'),
      namespace: constantFrom('one', 'two'),
      put: option(
        record({
          owner: option(constantFrom('rs-1', 'rs-2'), { nil: undefined }),
          node: option(constantFrom('n1', 'n2'), { nil: undefined }),
          label: option(constantFrom('x', 'y'), { nil: undefined }),
          note: integer({ min: 0, max: 9 }),
        }),
        { freq: 3 },
      ),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  { maxLength: 30 },
)

/** Everything a Reader can tell. */
function told(view: ClusterView): unknown {
  const nodes = ['n1', 'n2'].map((node) => view.podsOnNode(node))
  const owned = ['rs-1', 'rs-2'].map((uid) => view.ownedBy(uid))
  const spaces = ['one', 'two'].map((namespace) => [
    view.list('pods', namespace),
    ...['x', 'y'].map((value) => view.labelled('pods', namespace, 'app', value)),
  ])
  return { version: view.version, all: view.list('pods'), nodes, owned, spaces }
}

/** The plain truth: the last word on each key, looked through with no index. */
function replayed(log: Revision[]): unknown {
  const objects = new Map<Key, KubeObject & { spec?: { nodeName?: string } }>()
  for (const { changes } of log) {
    for (const { key, after } of changes) {
      if (after) objects.set(key, after)
      else objects.delete(key)
    }
  }
  const all = [...objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, o]) => o)
  const owns = (uid: string) => all.filter((o) => o.metadata.ownerReferences?.[0]?.uid === uid)
  return {
    version: log.at(-1)?.version ?? '0000000000000000',
    all,
    nodes: ['n1', 'n2'].map((node) => all.filter((o) => o.spec?.nodeName === node)),
    owned: ['rs-1', 'rs-2'].map(owns),
    spaces: ['one', 'two'].map((namespace) => {
      const inside = all.filter((o) => o.metadata.namespace === namespace)
      const labelled = (value: string) => inside.filter((o) => o.metadata.labels?.['app'] === value)
      return [inside, labelled('x'), labelled('y')]
    }),
  }
}

test('a checkpoint and the tail add up to the whole log, wherever it is cut', () => {
  assert(
    property(history, integer({ min: 0, max: 30 }), (steps, cut) => {
      const log = steps.map((step, index) =>
        revision(
          100 + Math.floor(index / 2),
          ...step.map(({ name, namespace, put: wish }): Change => {
            const key = keyOf('pods', namespace, name)
            if (!wish) return { key }
            const { owner, node, label, note } = wish
            const labels = label ? { app: label } : undefined
            const sketch = {
              namespace,
              note,
              ...(owner ? { owner } : {}),
              ...(node ? { node } : {}),
              ...(labels ? { labels } : {}),
            }
            return { key, after: pod(name, sketch) }
          }),
        ),
      )
      const whole = new ClusterView()
      const head = new ClusterView()
      log.forEach((entry, index) => {
        whole.apply(entry)
        // Lists are asked for on the way, so that what is cached is tested too.
        if (index % 3 === 0) told(whole)
        if (index < cut) head.apply(entry)
      })
      const tail = ClusterView.fromCheckpoint(head.toCheckpoint('cursor'))
      for (const entry of log.slice(cut)) tail.apply(entry)
      expect(told(tail)).toEqual(told(whole))
      expect(told(whole)).toEqual(replayed(log))
      expect(tail.toCheckpoint('c')).toEqual(whole.toCheckpoint('c'))
    }),
    { numRuns: 300 },
  )
})
