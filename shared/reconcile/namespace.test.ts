import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aNode, aPod, aService } from '#test/support/objects.ts'
import type { ConfigMap } from '../api/config.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Namespace } from '../api/namespace.ts'
import { keyOf } from '../key.ts'
import { bootstrapObjects } from './bootstrap.ts'
import { namespaceReconciler } from './namespace.ts'

const KEY = keyOf('namespaces', '', 'shop')

function namespace(name: string): Namespace {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid: '', creationTimestamp: '' },
    spec: {},
  }
}

function inShop<T extends KubeObject>(object: T, more: Partial<KubeObject['metadata']> = {}): T {
  return { ...object, metadata: { ...object.metadata, namespace: 'shop', ...more } }
}

function brainWith(...objects: KubeObject[]): Brain {
  const brain = new Brain([namespaceReconciler])
  brain.put(...bootstrapObjects({ now: brain.now, ca: 'PEM' }), namespace('shop'), ...objects)
  brain.settle()
  return brain
}

function remove(brain: Brain): void {
  brain.update<Namespace>(KEY, (old) => ({
    ...old,
    metadata: { ...old.metadata, deletionTimestamp: '2027-01-15T08:00:00Z' },
  }))
  brain.settle()
}

function condition(brain: Brain, type: string): string | undefined {
  const { status } = brain.view.get(KEY) as Namespace
  return status?.conditions?.find((each) => each.type === type)?.message
}

describe('a namespace', () => {
  test('starts with its service account and the CA of the API', () => {
    const brain = brainWith()
    expect(brain.view.get(keyOf('serviceaccounts', 'shop', 'default'))).toBeDefined()
    const copy = brain.view.get(keyOf('configmaps', 'shop', 'kube-root-ca.crt')) as ConfigMap
    expect(copy.data).toEqual({ 'ca.crt': 'PEM' })
    expect(brain.settle().commits).toBe(0)
  })

  test('gets back what it started with', () => {
    const brain = brainWith()
    brain.remove(keyOf('serviceaccounts', 'shop', 'default'))
    brain.put({
      ...(brain.view.get(keyOf('configmaps', 'kube-system', 'kube-root-ca.crt')) as ConfigMap),
      data: { 'ca.crt': 'NEW' },
    } as ConfigMap)
    brain.settle()
    expect(brain.view.get(keyOf('serviceaccounts', 'shop', 'default'))).toBeDefined()
    const copy = brain.view.get(keyOf('configmaps', 'shop', 'kube-root-ca.crt')) as ConfigMap
    expect(copy.data).toEqual({ 'ca.crt': 'NEW' })
  })

  test('that is deleted stops its pods, then takes everything with it', () => {
    const brain = brainWith(aNode('a'), inShop(aPod('p', { node: 'a' })), inShop(aService('web')))
    remove(brain)
    expect(brain.view.get(KEY)).toMatchObject({ status: { phase: 'Terminating' } })
    expect(condition(brain, 'NamespaceContentRemaining')).toBe(
      'Some resources are remaining: pods. has 1 resource instances',
    )
    expect(brain.view.get(keyOf('pods', 'shop', 'p'))?.metadata.deletionTimestamp).toBeDefined()
    expect(brain.view.get(keyOf('services', 'shop', 'web'))).toBeDefined()
    brain.remove(keyOf('pods', 'shop', 'p'))
    brain.settle()
    expect(brain.view.get(KEY)).toBeUndefined()
    expect(brain.view.list('configmaps', 'shop')).toEqual([])
    expect(brain.view.list('services', 'shop')).toEqual([])
  })

  test('waits for what others hold, and says so', () => {
    const held = inShop(aService('web'), {
      finalizers: ['service.kubernetes.io/load-balancer-cleanup'],
    })
    const brain = brainWith(held)
    remove(brain)
    expect(condition(brain, 'NamespaceFinalizersRemaining')).toBe(
      'Some content in the namespace has finalizers remaining: ' +
        'service.kubernetes.io/load-balancer-cleanup in 1 resource instances',
    )
    brain.remove(keyOf('services', 'shop', 'web'))
    brain.settle()
    expect(brain.view.get(KEY)).toBeUndefined()
  })

  test('with a thousand objects goes in bounded steps', () => {
    const many = Array.from({ length: 1000 }, (_, index): ConfigMap => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `c${index}`, namespace: 'shop', uid: '', creationTimestamp: '' },
    }))
    const brain = brainWith(...many)
    remove(brain)
    expect(brain.view.get(KEY)).toBeUndefined()
    expect(brain.view.list('configmaps', 'shop')).toEqual([])
  })
})
