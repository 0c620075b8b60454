import { describe, expect, test } from 'vitest'
import { Brain, podsOf } from '#test/support/brain.ts'
import { aNode, aPod, aReplicaSet, meta } from '#test/support/objects.ts'
import { controllerReference } from '../../api/owner.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { keyOf } from '../../key.ts'
import { inOrderOfDeletion } from './ranks.ts'
import { replicaSetReconciler } from './replica-set.ts'

const WEB = keyOf('replicasets.apps', 'default', 'web')

function brainWith(replicas: number): Brain {
  const brain = new Brain([replicaSetReconciler])
  brain.put(aNode('a'), aReplicaSet('web', replicas))
  brain.settle()
  return brain
}

function names(brain: Brain): string[] {
  return podsOf(brain).map(({ metadata }) => metadata.name)
}

function set(brain: Brain): ReplicaSet {
  return brain.view.get(WEB) as ReplicaSet
}

function updatePod(brain: Brain, name: string, change: (pod: Pod) => Pod): void {
  brain.update(keyOf('pods', 'default', name), change)
}

function bindAll(brain: Brain): void {
  for (const name of names(brain)) {
    updatePod(brain, name, (pod) => ({ ...pod, spec: { ...pod.spec, nodeName: 'a' } }))
  }
  brain.settle()
}

function resize(brain: Brain, replicas: number): string[] {
  brain.update<ReplicaSet>(WEB, (old) => ({ ...old, spec: { ...old.spec, replicas } }))
  return brain.settle().events
}

describe('pods of a ReplicaSet', () => {
  test('are made from its template, named after it and owned by it', () => {
    const brain = new Brain([replicaSetReconciler])
    brain.put(aReplicaSet('web', 2))
    const { events } = brain.settle()
    const pods = podsOf(brain)
    expect(pods).toHaveLength(2)
    expect(events.sort()).toEqual(
      pods.map(({ metadata }) => `SuccessfulCreate: Created pod: ${metadata.name}`),
    )
    for (const pod of pods) {
      expect(pod.metadata.name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
      expect(pod.metadata).toMatchObject({
        generateName: 'web-',
        labels: { run: 'web' },
        ownerReferences: [controllerReference(set(brain))],
      })
      // As admitted by the API: what a user's pod would have got.
      expect(pod.spec).toMatchObject({ restartPolicy: 'Always', serviceAccountName: 'default' })
      expect(pod.status).toMatchObject({ phase: 'Pending', qosClass: 'BestEffort' })
    }
  })

  test('have the same names in two runs on the same state, and never an old name again', () => {
    const [one, two] = [brainWith(3), brainWith(3)]
    expect(names(one)).toEqual(names(two))
    const seen = new Set(names(one))
    for (let round = 0; round < 20; round++) {
      const [victim = ''] = names(one)
      one.remove(keyOf('pods', 'default', victim))
      one.settle()
      const fresh = names(one).filter((name) => !seen.has(name))
      expect(fresh).toHaveLength(1)
      for (const name of fresh) seen.add(name)
    }
  })

  test.each(['Failed', 'Succeeded'] as const)('that have %s are replaced', (phase) => {
    const brain = brainWith(2)
    const [ended = ''] = names(brain)
    updatePod(brain, ended, (pod) => ({ ...pod, status: { ...pod.status, phase } }))
    brain.settle()
    expect(names(brain)).toHaveLength(3)
    expect(set(brain).status?.replicas).toBe(2)
  })

  test('that are being deleted are replaced at once', () => {
    const brain = brainWith(1)
    bindAll(brain)
    const [leaving = ''] = names(brain)
    updatePod(brain, leaving, (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: '2027-01-15T08:01:00Z' },
    }))
    brain.settle()
    expect(names(brain)).toHaveLength(2)
  })

  test('that nobody runs yet go at once, others are asked to stop', () => {
    const brain = brainWith(1)
    bindAll(brain)
    resize(brain, 2)
    const events = resize(brain, 0)
    expect(events).toHaveLength(2)
    const [left] = podsOf(brain)
    expect(podsOf(brain)).toHaveLength(1)
    expect(left?.metadata).toMatchObject({
      deletionTimestamp: '2027-01-15T08:00:30Z',
      deletionGracePeriodSeconds: 30,
    })
  })

  test('that match and have no owner are taken on; those that no longer match are let go', () => {
    const brain = new Brain([replicaSetReconciler])
    brain.put(aReplicaSet('web', 1), aPod('mine', { labels: { run: 'web' } }))
    brain.settle()
    expect(names(brain)).toEqual(['mine'])
    updatePod(brain, 'mine', (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, labels: { run: 'other' } },
    }))
    brain.settle()
    expect(names(brain)).toHaveLength(2)
    const mine = podsOf(brain).find(({ metadata }) => metadata.name === 'mine')
    expect(mine?.metadata.ownerReferences ?? []).toEqual([])
  })

  test('come in many when many are asked for', () => {
    const brain = brainWith(0)
    resize(brain, 750)
    expect(names(brain)).toHaveLength(750)
    expect(set(brain).status?.replicas).toBe(750)
    resize(brain, 3)
    expect(names(brain)).toHaveLength(3)
  })
})

describe('the status of a ReplicaSet', () => {
  test('counts and names the time at which a ready pod becomes available', () => {
    const brain = new Brain([replicaSetReconciler])
    const web = aReplicaSet('web', 2)
    web.spec.minReadySeconds = 10
    brain.put(web)
    brain.settle()
    const [first = ''] = names(brain)
    updatePod(brain, first, (pod) => ({
      ...pod,
      status: {
        ...pod.status,
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2027-01-15T08:00:00Z' }],
      },
    }))
    brain.settle()
    expect(set(brain).status).toEqual({
      replicas: 2,
      fullyLabeledReplicas: 2,
      readyReplicas: 1,
      availableReplicas: 0,
      observedGeneration: 1,
    })
    expect(brain.dueAtMs).toBe(brain.now + 10_000)
    brain.wait(10)
    brain.settle()
    expect(set(brain).status?.availableReplicas).toBe(1)
    expect(brain.dueAtMs).toBeUndefined()
  })
})

describe('of too many pods', () => {
  const now = Date.parse('2027-01-15T12:00:00Z')
  const ready = (since: string): Partial<Pod['status']> => ({
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: since }],
  })
  const running = { node: 'a', phase: 'Running' } as const
  const restarted = (restartCount: number): Partial<Pod['status']> => ({
    ...ready('2027-01-15T08:00:00Z'),
    containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount }],
  })
  const cost = { annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-5' } }
  const old = ready('2027-01-15T08:00:00Z')
  const cases: { first: string; pods: [Pod, Pod]; related?: Pod[] }[] = [
    { first: 'the one on no node', pods: [aPod('x'), aPod('y', { node: 'a' })] },
    { first: 'the one that waits', pods: [aPod('x', { node: 'a' }), aPod('y', running)] },
    {
      first: 'the one that is not ready',
      pods: [aPod('x', running), aPod('y', { ...running, status: old })],
    },
    {
      first: 'the cheaper one',
      pods: [
        aPod('x', { ...running, status: old, meta: cost }),
        aPod('y', { ...running, status: old }),
      ],
    },
    {
      first: 'the one whose node has another of its kind',
      pods: [
        aPod('x', { ...running, status: old }),
        aPod('y', { ...running, node: 'b', status: old }),
      ],
      related: [aPod('z', { ...running, status: old })],
    },
    {
      first: 'the one that is ready for a shorter time',
      pods: [
        aPod('x', { ...running, status: ready('2027-01-15T11:59:00Z') }),
        aPod('y', { ...running, status: old }),
      ],
    },
    {
      first: 'the one that restarted more often',
      pods: [
        aPod('x', { ...running, status: restarted(3) }),
        aPod('y', { ...running, status: restarted(1) }),
      ],
    },
    {
      first: 'the younger one',
      pods: [
        aPod('x', { ...running, status: old, meta: { creationTimestamp: '2027-01-15T11:00:00Z' } }),
        aPod('y', {
          ...running,
          status: old,
          meta: meta('y', { creationTimestamp: '2026-01-15T08:00:00Z' }),
        }),
      ],
    },
  ]

  test.each(cases)('$first goes first', ({ pods, related = [] }) => {
    const [x, y] = pods
    const all = [...pods, ...related]
    for (const order of [
      [x, y],
      [y, x],
    ]) {
      expect(inOrderOfDeletion(order, all, now).map(({ metadata }) => metadata.name)).toEqual([
        'x',
        'y',
      ])
    }
  })
})
