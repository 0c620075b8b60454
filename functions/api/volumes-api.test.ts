// Kubernetes' conformance tests of volumes, on the api and the reconcile function: the life of a claim, a volume, a
// class and an attachment, and their status.
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/test/e2e/storage/persistent_volumes.go
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/test/e2e/storage/storageclass.go
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/test/e2e/storage/volume_attachment.go

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTestApi, CLUSTER, seededMeta, type TestApi } from '#test/api.ts'
import type { Condition, KubeObject } from '#shared/api/meta.ts'
import type { PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { VolumeAttachment } from '#shared/api/volume-attachment.ts'
import { createReconcile, type Reconcile } from '../reconcile/reconcile.ts'

let api: TestApi
let reconcile: Reconcile
beforeEach(async () => {
  api = await createTestApi()
  const timers = { wake: async () => undefined, close: async () => undefined }
  reconcile = createReconcile({ ...api.deps, timers })
})
afterEach(() => api.close())

const VOLUMES = '/api/v1/persistentvolumes'
const CLAIMS = '/api/v1/namespaces/default/persistentvolumeclaims'
const CLASSES = '/apis/storage.k8s.io/v1/storageclasses'
const ATTACHMENTS = '/apis/storage.k8s.io/v1/volumeattachments'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
const LABELS = { 'e2e-pv-pool': 'default' }

/** A request that must succeed, and what follows from it. */
async function must<T extends object = KubeObject>(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<T> {
  const answer = await api.call<T>(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(headers ? { headers } : {}),
  })
  expect(answer.status, answer.text).toBeLessThan(300)
  if (method !== 'GET') await reconcile.handle(CLUSTER)
  return answer.body
}

async function selected(path: string, label?: string): Promise<KubeObject[]> {
  const query = label === undefined ? '' : `?labelSelector=${encodeURIComponent(label)}`
  return (await must<{ items: KubeObject[] }>('GET', `${path}${query}`)).items
}

/** Labels an object by a patch, as the suite does: `NAME=VALUE`. */
async function label(
  path: string,
  object: KubeObject,
  headers: Record<string, string>,
): Promise<string> {
  const { name, resourceVersion = '' } = object.metadata
  const body = { metadata: { labels: { [name]: 'patched' } } }
  const patched = await must('PATCH', `${path}/${name}`, body, headers)
  expect(patched.metadata.labels).toMatchObject({ [name]: 'patched' })
  expect(BigInt(patched.metadata.resourceVersion ?? 0)).toBeGreaterThan(BigInt(resourceVersion))
  return `${name}=patched`
}

/** Reads, changes and writes an object, with its version. */
async function update<T extends KubeObject>(path: string, change: (object: T) => T): Promise<T> {
  const current = await must<T>('GET', path)
  return must<T>('PUT', path, change(current))
}

/** A volume of a driver that is not there, and a claim for it, as the suite makes them. */
async function createVolumeAndClaim(): Promise<{
  volume: PersistentVolume
  claim: PersistentVolumeClaim
}> {
  const volume = await must<PersistentVolume>('POST', VOLUMES, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { generateName: 'default-', labels: LABELS },
    spec: {
      capacity: { storage: '2Gi' },
      accessModes: ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany'],
      storageClassName: 'default',
      persistentVolumeReclaimPolicy: 'Retain',
      csi: { driver: 'inline-driver-1', volumeHandle: 'e2e-conformance' },
    },
  })
  const claim = await must<PersistentVolumeClaim>('POST', CLAIMS, {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { generateName: 'pvc-' },
    spec: {
      accessModes: ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany'],
      storageClassName: 'default',
      resources: { requests: { storage: '2Gi' } },
    },
  })
  return { volume, claim }
}

describe('[sig-storage] PersistentVolumes', () => {
  test('CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]', async () => {
    await createVolumeAndClaim()
    const [volume, ...otherVolumes] = await selected(VOLUMES, 'e2e-pv-pool=default')
    const [claim, ...otherClaims] = await selected(CLAIMS)
    if (!volume || !claim) throw new Error('not listed')
    expect([otherVolumes, otherClaims]).toEqual([[], []])
    await label(VOLUMES, volume, STRATEGIC)
    await label(CLAIMS, claim, STRATEGIC)
    for (const [path, { metadata }] of [
      [VOLUMES, volume],
      [CLAIMS, claim],
    ] as const) {
      expect((await must('GET', `${path}/${metadata.name}`)).metadata.uid).toBe(metadata.uid)
    }
    await must('DELETE', `${CLAIMS}/${claim.metadata.name}`)
    expect(await selected(CLAIMS)).toEqual([])
    await must('DELETE', `${VOLUMES}/${volume.metadata.name}`)
    expect(await selected(VOLUMES, 'e2e-pv-pool=default')).toEqual([])

    const again = await createVolumeAndClaim()
    for (const [path, { metadata }] of [
      [VOLUMES, again.volume],
      [CLAIMS, again.claim],
    ] as const) {
      const { name } = metadata
      const updated = await update(`${path}/${name}`, (current) => ({
        ...current,
        metadata: { ...current.metadata, labels: { [name]: 'updated' } },
      }))
      expect(updated.metadata.labels).toMatchObject({ [name]: 'updated' })
    }
    const ofClaim = `${again.claim.metadata.name}=updated`
    const ofVolume = `${again.volume.metadata.name}=updated`
    expect(await selected('/api/v1/persistentvolumeclaims', ofClaim)).toHaveLength(1)
    await must('DELETE', `${CLAIMS}?labelSelector=${ofClaim}`)
    expect(await selected(CLAIMS, ofClaim)).toEqual([])
    await must('DELETE', `${VOLUMES}?labelSelector=${ofVolume}`)
    expect(await selected(VOLUMES, ofVolume)).toEqual([])
  })

  test('CSI Conformance should apply changes to a pv/pvc status [Conformance]', async () => {
    const { volume, claim } = await createVolumeAndClaim()
    const ofClaim = `${CLAIMS}/${claim.metadata.name}`
    const ofVolume = `${VOLUMES}/${volume.metadata.name}`
    const read = await must<PersistentVolumeClaim>('GET', `${ofClaim}/status`)
    expect(['Pending', 'Bound']).toContain(read.status?.phase)
    const readVolume = await must<PersistentVolume>('GET', `${ofVolume}/status`)
    expect(['Available', 'Bound', 'Pending']).toContain(readVolume.status?.phase)
    const condition = (type: string, reason: string): Condition => ({
      type,
      status: 'True',
      reason,
      message: 'Set from e2e test',
    })
    const conditions = [condition('StatusPatched', 'E2E patchedStatus')]
    const patched = await must<PersistentVolumeClaim>(
      'PATCH',
      `${ofClaim}/status`,
      { status: { conditions } },
      MERGE,
    )
    expect(patched.status?.conditions).toMatchObject(conditions)
    const words = { message: 'StatusPatched', reason: 'E2E patchStatus' }
    const patchedVolume = await must<PersistentVolume>(
      'PATCH',
      `${ofVolume}/status`,
      { status: words },
      MERGE,
    )
    expect(patchedVolume.status).toMatchObject(words)
    const current = await must<PersistentVolumeClaim>('GET', ofClaim)
    const more = condition('StatusUpdated', 'E2E updateStatus')
    const updated = await must<PersistentVolumeClaim>('PUT', `${ofClaim}/status`, {
      ...current,
      status: { ...current.status, conditions: [...(current.status?.conditions ?? []), more] },
    })
    expect(updated.status?.conditions).toMatchObject([...conditions, more])
    const now = await must<PersistentVolume>('GET', ofVolume)
    const next = { message: 'StatusUpdated', reason: 'E2E updateStatus' }
    const updatedVolume = await must<PersistentVolume>('PUT', `${ofVolume}/status`, {
      ...now,
      status: { ...now.status, ...next },
    })
    expect(updatedVolume.status).toMatchObject(next)
  })
})

describe('[sig-storage] StorageClasses', () => {
  test('CSI Conformance should run through the lifecycle of a StorageClass [Conformance]', async () => {
    const create = (generateName: string) =>
      must('POST', CLASSES, {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { generateName },
        provisioner: 'e2e-fake-provisioner',
      })
    const created = await create('e2e-')
    const { name } = created.metadata
    expect((await must('GET', `${CLASSES}/${name}`)).metadata.name).toBe(name)
    const patched = await label(CLASSES, created, STRATEGIC)
    await must('DELETE', `${CLASSES}/${name}`)
    expect(await selected(CLASSES, patched)).toEqual([])

    const replacement = (await create('e2e-v2-')).metadata.name
    const updated = await update(`${CLASSES}/${replacement}`, (current) => ({
      ...current,
      metadata: { ...current.metadata, labels: { [replacement]: 'updated' } },
    }))
    expect(updated.metadata.labels).toEqual({ [replacement]: 'updated' })
    expect(await selected(CLASSES, `${replacement}=updated`)).toHaveLength(1)
    await must('DELETE', `${CLASSES}?labelSelector=${replacement}%3Dupdated`)
    expect(await selected(CLASSES, `${replacement}=updated`)).toEqual([])
  })
})

describe('[sig-storage] VolumeAttachment', () => {
  const create = async (name: string): Promise<VolumeAttachment> => {
    const created = await must<VolumeAttachment>('POST', ATTACHMENTS, {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'VolumeAttachment',
      metadata: { name: `va-${name}`, uid: `va-${name}` },
      spec: {
        attacher: 'e2e-test.storage.k8s.io',
        nodeName: 'vm-1',
        source: { persistentVolumeName: `pv-${name}` },
      },
      status: { attached: false },
    })
    expect(created.metadata.name).toBe(`va-${name}`)
    return created
  }
  beforeEach(async () => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: seededMeta('vm-1') }
    await api.seed(['nodes', node])
  })

  test('Conformance should run through the lifecycle of a VolumeAttachment [Conformance]', async () => {
    const first = await create('e2e-1')
    expect((await must('GET', `${ATTACHMENTS}/va-e2e-1`)).metadata.name).toBe('va-e2e-1')
    const patched = await label(ATTACHMENTS, first, MERGE)
    expect(await selected(ATTACHMENTS, patched)).toHaveLength(1)
    await must('DELETE', `${ATTACHMENTS}/va-e2e-1`)
    expect(await selected(ATTACHMENTS, patched)).toEqual([])
    for (const name of ['e2e-2', 'e2e-3']) {
      await create(name)
      const labels = { 'va-e2e': 'updated' }
      const updated = await update(`${ATTACHMENTS}/va-${name}`, (current) => ({
        ...current,
        metadata: { ...current.metadata, labels },
      }))
      expect(updated.metadata.labels).toEqual(labels)
    }
    await must('DELETE', `${ATTACHMENTS}?labelSelector=va-e2e%3Dupdated`)
    expect(await selected(ATTACHMENTS, 'va-e2e=updated')).toEqual([])
  })

  test('Conformance should apply changes to a volumeattachment status [Conformance]', async () => {
    const created = await create('e2e-1')
    const path = `${ATTACHMENTS}/va-e2e-1`
    const patched = await label(ATTACHMENTS, created, MERGE)
    const attachedOf = (object: VolumeAttachment): boolean | undefined => object.status?.attached
    expect(attachedOf(await must('GET', `${path}/status`))).toBe(false)
    const body = { status: { attached: true } }
    expect(attachedOf(await must('PATCH', `${path}/status`, body, MERGE))).toBe(true)
    const current = await must<VolumeAttachment>('GET', path)
    expect(attachedOf(current)).toBe(true)
    const next = { ...current, status: { ...current.status, attached: false } }
    expect(attachedOf(await must('PUT', `${path}/status`, next))).toBe(false)
    await must('DELETE', path)
    expect(await selected(ATTACHMENTS, patched)).toEqual([])
  })
})

test('what a client says of the status of a new object is not taken over', async () => {
  const { metadata: _, ...made } = await must<VolumeAttachment>('POST', ATTACHMENTS, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: { name: 'mine' },
    spec: { attacher: 'a.example', nodeName: 'vm-1', source: { persistentVolumeName: 'disk' } },
    status: { attached: true },
  })
  expect(made.status).toEqual({ attached: false })
})
