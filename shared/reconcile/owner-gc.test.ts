import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aNode, aPod, aReplicaSet } from '#test/support/objects.ts'
import type { KubeObject, ObjectMeta, OwnerReference } from '../api/meta.ts'
import { keyOf } from '../key.ts'
import { ownerGcReconciler } from './owner-gc.ts'

const SET = keyOf('replicasets.apps', 'default', 'web')
const POD = keyOf('pods', 'default', 'p')

function ownedBy(
  owner: KubeObject | undefined,
  more: Partial<OwnerReference> = {},
): OwnerReference {
  if (!owner) throw new Error('no owner')
  const { apiVersion, kind, metadata } = owner
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more }
}

function brainWith(references: (set: KubeObject | undefined) => OwnerReference[], pods = 1): Brain {
  const brain = new Brain([ownerGcReconciler])
  brain.put(aNode('a'), aReplicaSet('web', 1))
  const ownerReferences = references(brain.view.get(SET))
  for (let index = 0; index < pods; index++) {
    brain.put(aPod(index === 0 ? 'p' : `p${index}`, { meta: { ownerReferences } }))
  }
  brain.settle()
  return brain
}

function mark(brain: Brain, finalizer: string): void {
  brain.update(SET, (set) => ({
    ...set,
    metadata: {
      ...set.metadata,
      deletionTimestamp: '2027-01-15T08:00:00Z',
      finalizers: [finalizer],
    } satisfies ObjectMeta,
  }))
}

describe('an object with owners', () => {
  test('stays while one of them is there', () => {
    const brain = brainWith((set) => [ownedBy(set)])
    expect(brain.view.get(POD)).toBeDefined()
  })

  test('goes when its owner goes', () => {
    const brain = brainWith((set) => [ownedBy(set)])
    brain.remove(SET)
    brain.settle()
    expect(brain.view.get(POD)).toBeUndefined()
  })

  test('goes when its owner was replaced by another of the same name', () => {
    const brain = brainWith((set) => [ownedBy(set, { uid: 'an-earlier-one' })])
    expect(brain.view.get(POD)).toBeUndefined()
  })

  test('on a node is stopped politely', () => {
    const brain = brainWith((set) => [ownedBy(set)])
    brain.update(POD, (pod) =>
      Object.assign({}, aPod('p', { node: 'a' }), { metadata: pod.metadata }),
    )
    brain.remove(SET)
    brain.settle()
    expect(brain.view.get(POD)?.metadata.deletionTimestamp).toBeDefined()
  })

  test('loses the reference to one that is gone, and stays with the other', () => {
    const brain = brainWith((set) => [ownedBy(set), ownedBy(set, { name: 'gone', uid: 'gone' })])
    expect(brain.view.get(POD)?.metadata.ownerReferences).toMatchObject([{ name: 'web' }])
  })

  test('of a kind that nobody knows is left alone', () => {
    const brain = brainWith((set) => [ownedBy(set, { kind: 'Unicorn', uid: 'u' })])
    expect(brain.view.get(POD)).toBeDefined()
  })
})

describe('an owner that is deleted', () => {
  test('in the foreground goes after those that block it', () => {
    const brain = brainWith((set) => [ownedBy(set, { blockOwnerDeletion: true })])
    brain.update(POD, (pod) =>
      Object.assign({}, aPod('p', { node: 'a' }), { metadata: pod.metadata }),
    )
    mark(brain, 'foregroundDeletion')
    brain.settle()
    expect(brain.view.get(POD)?.metadata.deletionTimestamp).toBeDefined()
    expect(brain.view.get(SET)).toBeDefined()
    brain.remove(POD)
    brain.settle()
    expect(brain.view.get(SET)).toBeUndefined()
  })

  test('in the foreground does not wait for those that do not block it', () => {
    const brain = brainWith((set) => [ownedBy(set)])
    mark(brain, 'foregroundDeletion')
    brain.settle()
    expect(brain.view.get(SET)).toBeUndefined()
    expect(brain.view.get(POD)).toBeUndefined()
  })

  test.each([1, 250])('leaves its %i orphans behind', (count) => {
    const brain = brainWith((set) => [ownedBy(set)], count)
    mark(brain, 'orphan')
    brain.settle()
    expect(brain.view.get(SET)).toBeUndefined()
    const pods = brain.view.list('pods')
    expect(pods).toHaveLength(count)
    expect(pods.every(({ metadata }) => !metadata.ownerReferences)).toBe(true)
  })
})
