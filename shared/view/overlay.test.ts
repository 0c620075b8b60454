import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { KubeObject } from '../api/meta.ts'
import { keyOf } from '../key.ts'
import type { Revision } from '../ports/store.ts'
import { Overlay } from './overlay.ts'
import { ClusterView } from './view.ts'

const NAMES = ['a', 'b', 'b-x', 'c', 'd']
const NAMESPACES = ['n', 'n-1']

interface Step {
  name: string
  namespace: string
  owner: string
  label: string
  node: string
  isRemoved: boolean
}

const steps = fc.array(
  fc.record({
    name: fc.constantFrom(...NAMES),
    namespace: fc.constantFrom(...NAMESPACES),
    owner: fc.constantFrom('', 'u1', 'u2'),
    label: fc.constantFrom('x', 'y'),
    node: fc.constantFrom('', 'n1', 'n2'),
    isRemoved: fc.boolean(),
  }),
  { maxLength: 25 },
)

function podOf({ name, namespace, owner, label, node }: Step): KubeObject {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `uid-${name}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { l: label },
      ...(owner
        ? { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: owner, uid: owner }] }
        : {}),
    },
    spec: node ? { nodeName: node } : {},
  }
  return pod
}

function revisionOf(changes: { key: string; after?: KubeObject }[], version: string): Revision {
  return { id: version, version, cause: { actor: 'test', verb: 'put' }, changes, decisions: [] }
}

function viewAfter(steps: readonly Step[], version: string): ClusterView {
  const view = new ClusterView()
  const last = new Map(steps.map((step) => [keyOf('pods', step.namespace, step.name), step]))
  const changes = [...last].map(([key, step]) => {
    if (step.isRemoved) return { key }
    const pod = podOf(step)
    return { key, after: { ...pod, metadata: { ...pod.metadata, resourceVersion: version } } }
  })
  view.apply(revisionOf(changes, version))
  return view
}

function answers(reader: Overlay | ClusterView): unknown {
  const shown = (list: readonly KubeObject[]): string[] =>
    list.map((object) =>
      JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: '' } }),
    )
  return {
    all: shown(reader.list('pods')),
    inside: NAMESPACES.map((namespace) => shown(reader.list('pods', namespace))),
    owned: ['u1', 'u2'].map((uid) => shown(reader.ownedBy(uid)).sort()),
    nodes: ['n1', 'n2'].map((node) => shown(reader.podsOnNode(node))),
    labels: ['x', 'y'].map((label) => shown(reader.labelled('pods', 'n', 'l', label))),
  }
}

describe('an overlay', () => {
  test('answers as a view to which its writes were committed', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const overlay = new Overlay(viewAfter(before, '0000000000000001'))
        for (const step of after) {
          const key = keyOf('pods', step.namespace, step.name)
          if (step.isRemoved) overlay.remove(key)
          else overlay.put(key, podOf(step))
          answers(overlay)
        }
        const committed = viewAfter(before, '0000000000000001')
        const changes = overlay
          .writes()
          .map(({ key, object }) => (object ? { key, after: object } : { key }))
        committed.apply(revisionOf(changes, '0000000000000002'))
        expect(answers(overlay)).toEqual(answers(committed))
      }),
    )
  })

  const one: Step = {
    name: 'a',
    namespace: 'n',
    owner: '',
    label: 'x',
    node: '',
    isRemoved: false,
  }
  const key = 'pods/n/a'

  test('names the version that a write was computed from, or that there was none', () => {
    const overlay = new Overlay(viewAfter([one], '0000000000000007'))
    overlay.put(key, podOf({ ...one, node: 'n1' }))
    overlay.put('pods/n/b', podOf({ ...one, name: 'b' }))
    expect(overlay.writes().map(({ key, expect }) => [key, expect])).toEqual([
      [key, '0000000000000007'],
      ['pods/n/b', null],
    ])
  })

  test('writes nothing for what came back to how it was', () => {
    const base = viewAfter([one], '0000000000000007')
    const overlay = new Overlay(base)
    const before = base.get(key)
    overlay.put(key, podOf({ ...one, node: 'n1' }))
    if (before) overlay.put(key, before)
    overlay.put('pods/n/b', podOf({ ...one, name: 'b' }))
    overlay.remove('pods/n/b')
    expect(overlay.writes()).toEqual([])
  })
})
