// Volumes of claims on a node: what is told before a disk is used, and what is unmounted before it is
// told to be free. With the driver of folders, on a real file system.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DesiredState, GrownVolume } from '#shared/api/agent-wire.ts'
import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { Volume } from '#shared/api/pod.ts'
import { aClaim } from '#test/support/disk-world.ts'
import { aNode, aPod } from '#test/support/objects.ts'
import type { DiskDriver } from './driver.ts'
import { createFolderDriver } from './folder-driver.ts'
import { NodeDisks, VolumePending } from './node-disks.ts'

const DATA: Volume = { name: 'data', persistentVolumeClaim: { claimName: 'data' } }
const UNIQUE = 'kubernetes.io/csi/pd.csi.storage.gke.io^projects/p/zones/z/disks/pvc-1'
const POD = aPod('db', { node: 'vm', spec: { volumes: [DATA] } })

let dir: string
let driver: DiskDriver
let desired: DesiredState
/** What the API was told, oldest first, and what happened to mounts in between. */
let story: string[]
let grown: GrownVolume[]
let disks: NodeDisks
let version: number

function volume(size = '10Gi'): PersistentVolume {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'pvc-1', uid: 'uid-pvc-1', creationTimestamp: '' },
    spec: {
      capacity: { storage: size },
      accessModes: ['ReadWriteOnce'],
      claimRef: { namespace: 'default', name: 'data', uid: 'uid-data' },
      csi: {
        driver: 'pd.csi.storage.gke.io',
        volumeHandle: 'projects/p/zones/z/disks/pvc-1',
        fsType: 'ext4',
      },
    },
    status: { phase: 'Bound' },
  }
}

/** The state of a node whose disk is attached; the API knows what it was told. */
function stateOf(
  more: { inUse?: string[]; instance?: string; size?: string; leaving?: true } = {},
) {
  const { inUse = [], instance = 'i-1', size, leaving } = more
  const claim = aClaim('data', { volumeName: 'pvc-1' })
  const node = aNode('vm')
  return {
    version: String(++version).padStart(16, '0'),
    pods: [POD],
    configMaps: [],
    secrets: [],
    services: [],
    endpointSlices: [],
    networkPolicies: [],
    claims: [{ ...claim, status: { phase: 'Bound' as const, capacity: { storage: '10Gi' } } }],
    volumes: [volume(size)],
    attachments: [
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'VolumeAttachment',
        metadata: {
          name: 'csi-1',
          uid: 'uid-csi-1',
          creationTimestamp: '',
          ...(leaving ? { deletionTimestamp: '2027-01-15T08:00:00Z' } : {}),
        },
        spec: { attacher: 'a', nodeName: 'vm', source: { persistentVolumeName: 'pvc-1' } },
        status: { attached: true, attachmentMetadata: { 'wherry.dev/instance-id': instance } },
      },
    ],
    node: { ...node, status: { ...node.status, volumesInUse: inUse } },
  } satisfies DesiredState
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-disks-'))
  mkdirSync(join(dir, 'devices'))
  mkdirSync(join(dir, 'disk'))
  writeFileSync(join(dir, 'disk', 'kept'), 'from before')
  symlinkSync(join(dir, 'disk'), join(dir, 'devices', 'google-pvc-1'))
  story = []
  grown = []
  version = 0
  const real = createFolderDriver(join(dir, 'devices'))
  driver = {
    ...real,
    mount: async (mount) => {
      story.push('mount')
      await real.mount(mount)
    },
    unmount: async (target) => {
      story.push('unmount')
      await real.unmount(target)
    },
    grow: async () => void story.push('grow'),
  }
  disks = newDisks()
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function newDisks(): NodeDisks {
  return new NodeDisks({
    driver,
    stateDir: dir,
    instanceId: 'i-1',
    current: () => desired,
    tellInUse: async (names) => {
      story.push(`told ${names.length}`)
      return String(++version).padStart(16, '0')
    },
    tellGrown: (news) => grown.push(news),
    wake: () => story.push('wake'),
    log: { info() {}, warn() {}, error() {} },
  })
}

/** The disk is attached and mounted. */
async function mounted(): Promise<string> {
  desired = stateOf()
  await expect(disks.make(POD, DATA)).rejects.toThrow(VolumePending)
  desired = stateOf({ inUse: [UNIQUE] })
  return (await disks.make(POD, DATA)).path
}

describe('a disk', () => {
  test('is mounted only when the API knows that it is in use, and has what was written before', async () => {
    const path = await mounted()
    expect(story).toEqual(['told 1', 'wake', 'mount'])
    expect(readFileSync(join(path, 'kept'), 'utf8')).toBe('from before')
    // Once more, for another container or a new state: nothing happens.
    expect(await disks.make(POD, DATA)).toMatchObject({ path, isNew: false, isDisk: true })
    expect(story).toHaveLength(3)
  })

  test('that a state of before our word calls in use is not believed yet', async () => {
    desired = stateOf()
    const old = stateOf({ inUse: [UNIQUE] })
    await expect(disks.make(POD, DATA)).rejects.toThrow(VolumePending)
    desired = old
    await expect(disks.make(POD, DATA)).rejects.toThrow(VolumePending)
    expect(story).not.toContain('mount')
  })

  test.each([
    ['is on its way off', { leaving: true as const, inUse: [UNIQUE] }],
    ['was attached to another VM of this name', { instance: 'i-0', inUse: [UNIQUE] }],
  ])('that %s is left alone', async (_, more) => {
    desired = stateOf(more)
    await expect(disks.make(POD, DATA)).rejects.toThrow('is not attached yet')
    expect(story).toEqual([])
  })

  test('is unmounted before it is told to be free, when the last of its pods is gone', async () => {
    await mounted()
    const second = aPod('second', { node: 'vm', spec: { volumes: [DATA] } })
    await disks.make(second, DATA)
    story.length = 0
    await disks.release(POD.metadata.uid)
    expect(story).toEqual([])
    await disks.release(second.metadata.uid)
    expect(story).toEqual(['unmount', 'told 0'])
  })

  test('that was announced for a pod that did not stay is told to be free', async () => {
    desired = stateOf()
    await expect(disks.make(POD, DATA)).rejects.toThrow(VolumePending)
    desired = stateOf({ inUse: [UNIQUE], leaving: true })
    await disks.tend(desired)
    expect(story.at(-1)).toBe('told 0')
  })

  test('that an earlier agent has mounted is taken over, or unmounted when nobody wants it', async () => {
    await mounted()
    const next = newDisks()
    await next.start()
    desired = {
      ...stateOf({ inUse: [UNIQUE] }),
      pods: [],
      claims: [],
      volumes: [],
      attachments: [],
    }
    story.length = 0
    await next.tend(desired)
    expect(story).toEqual(['unmount', 'told 0'])
  })

  test('that has grown is grown into, and that is told', async () => {
    await mounted()
    desired = stateOf({ inUse: [UNIQUE], size: '12Gi' })
    await disks.tend(desired)
    await disks.tend(desired)
    expect(story.filter((word) => word === 'grow')).toHaveLength(1)
    expect(grown).toEqual([
      { namespace: 'default', claim: 'data', uid: 'uid-data', capacity: '12Gi' },
    ])
  })
})
