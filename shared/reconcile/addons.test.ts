import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { LEAVING_ANNOTATION } from '../api/cluster.ts'
import type { KubeObject } from '../api/meta.ts'
import { keyOf } from '../key.ts'
import { addonReconciler } from './addons.ts'
import { bootstrapObjects } from './bootstrap.ts'
import { ALL_KINDS } from './kinds.ts'

const CLASSES = [
  'ingressclasses.networking.k8s.io//gce',
  'storageclasses.storage.k8s.io//premium-rwo',
  'storageclasses.storage.k8s.io//standard',
  'storageclasses.storage.k8s.io//standard-rwo',
]

/** A cluster with its first objects, or without some. */
function brainWithout(...keys: string[]): Brain {
  const brain = new Brain([addonReconciler])
  brain.put(...bootstrapObjects({ now: brain.now, ca: '' }))
  for (const key of keys) brain.remove(key)
  return brain
}

function there(brain: Brain): string[] {
  return CLASSES.filter((key) => brain.view.get(key))
}

describe('the storage classes and the Ingress class', () => {
  test('are there from the start, and nothing is written for it', () => {
    const brain = brainWithout()
    expect(there(brain)).toEqual(CLASSES)
    expect(brain.settle().commits).toBe(0)
  })

  test('come to a cluster that is older than them, once an instance has started', () => {
    const brain = brainWithout(...CLASSES)
    // Nobody remembers that they ever were there.
    const older = new Brain([addonReconciler])
    for (const { resource } of ALL_KINDS) older.put(...brain.view.list(resource))
    older.settle()
    expect(there(older)).toEqual(CLASSES)
    expect(older.view.get(CLASSES[3] ?? '')).toMatchObject({
      metadata: {
        labels: { 'addonmanager.kubernetes.io/mode': 'EnsureExists' },
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
      provisioner: 'pd.csi.storage.gke.io',
    })
    expect(older.settle().commits).toBe(0)
  })

  test('come back when they are deleted', () => {
    const brain = brainWithout()
    brain.settle()
    for (const key of CLASSES) {
      brain.remove(key)
      brain.settle()
      expect(brain.view.get(key)?.metadata.uid).toBeTruthy()
    }
  })

  test('stay as somebody has changed them', () => {
    const brain = brainWithout()
    const key = CLASSES[3] ?? ''
    brain.update<KubeObject>(key, (object) => ({
      ...object,
      metadata: {
        ...object.metadata,
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'false' },
      },
    }))
    brain.remove(CLASSES[2] ?? '')
    brain.settle()
    expect(there(brain)).toEqual(CLASSES)
    expect(brain.view.get(key)?.metadata.annotations).toEqual({
      'storageclass.kubernetes.io/is-default-class': 'false',
    })
  })

  test('do not come back to a cluster that is being deleted', () => {
    const brain = brainWithout()
    brain.update<KubeObject>(keyOf('namespaces', '', 'kube-system'), (object) => ({
      ...object,
      metadata: { ...object.metadata, annotations: { [LEAVING_ANNOTATION]: 'now' } },
    }))
    for (const key of CLASSES) brain.remove(key)
    brain.settle()
    expect(there(brain)).toEqual([])
  })
})
