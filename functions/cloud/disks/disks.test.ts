// Claims, volumes and disks from both sides: the controllers and the cloud function's pass together.

import { beforeEach, describe, expect, it } from 'vitest'
import { aClaim, aUser, DiskWorld, GROUP, ZONE } from '#test/support/disk-world.ts'
import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import { keyOf } from '#shared/key.ts'
import { StatusError } from '#shared/status.ts'

const CLAIM = keyOf('persistentvolumeclaims', 'default', 'data')
let world: DiskWorld

beforeEach(async () => {
  world = await DiskWorld.open()
})

/** The only volume. */
function volume(): PersistentVolume {
  const [found, ...others] = world.volumes()
  if (!found || others.length > 0) throw new Error(`${world.volumes().length} volumes`)
  return found
}

function nodeOf(pod: string): string {
  return world.pod(pod)?.spec.nodeName ?? ''
}

/** The pod `db` runs with the claim `data` mounted. */
async function running(): Promise<{ node: string; other: string }> {
  await world.apply(aClaim('data'), aUser('db', 'data'))
  const node = nodeOf('db')
  await world.useOn(node, volume())
  const others = await world.seeVms()
  return { node, other: others.find((name) => name !== node) ?? '' }
}

describe('a claim of the default class', () => {
  it('waits for a pod, gets a disk in the zone of its node, and the pod follows the disk', async () => {
    await world.apply(aClaim('data'))
    expect(world.claim('data')).toMatchObject({
      spec: { storageClassName: 'standard-rwo' },
      status: { phase: 'Pending' },
    })
    expect(world.events).toContain(
      'WaitForFirstConsumer: waiting for first consumer to be created before binding',
    )
    expect(world.disks.all()).toEqual([])

    await world.apply(aUser('db', 'data'))
    const name = `pvc-${world.claim('data')?.metadata.uid}`
    expect(world.disks.all()).toMatchObject([
      { name, zone: ZONE, sizeGb: 10, type: 'pd-balanced', users: [nodeOf('db')] },
    ])
    expect(world.claim('data')).toMatchObject({
      spec: { volumeName: name },
      status: { phase: 'Bound', capacity: { storage: '10Gi' }, accessModes: ['ReadWriteOnce'] },
    })
    expect(volume()).toMatchObject({
      spec: {
        csi: { volumeHandle: `projects/demo/zones/${ZONE}/disks/${name}`, fsType: 'ext4' },
        persistentVolumeReclaimPolicy: 'Delete',
      },
      status: { phase: 'Bound' },
    })
    expect(world.attachments()).toMatchObject([
      { spec: { nodeName: nodeOf('db') }, status: { attached: true } },
    ])
    expect(world.events).toEqual(
      expect.arrayContaining([
        `ProvisioningSucceeded: Successfully provisioned volume ${name}`,
        `Scheduled: Successfully assigned default/db to ${nodeOf('db')}`,
        `SuccessfulAttachVolume: AttachVolume.Attach succeeded for volume "${name}" `,
      ]),
    )
  })

  it('goes with its disk when its last pod is gone, not before', async () => {
    await running()
    await world.delete(CLAIM)
    expect(world.claim('data')?.metadata.deletionTimestamp).toBeDefined()
    await world.useOn(nodeOf('db'))
    await world.gone('db')
    expect(world.claim('data')).toBeUndefined()
    expect(world.volumes()).toEqual([])
    expect(world.attachments()).toEqual([])
    expect(world.disks.all()).toEqual([])
  })

  it('says why no disk could be made, and gets one when that has passed', async () => {
    const quota = new StatusError('Forbidden', `Quota 'SSD_TOTAL_GB' exceeded.  Limit: 500.0`)
    world.disks.failWith(quota, 'create')
    await world.apply(aClaim('data'), aUser('db', 'data'))
    expect(world.claim('data')?.status?.phase).toBe('Pending')
    expect(world.events).toContain(
      `ProvisioningFailed: failed to provision volume with StorageClass "standard-rwo": Quota 'SSD_TOTAL_GB' exceeded.  Limit: 500.0`,
    )
    world.disks.failWith(undefined, 'create')
    await world.settle()
    expect(world.claim('data')?.status?.phase).toBe('Bound')
  })

  it('that is deleted while its disk is made leaves no disk behind', async () => {
    world.disks.failWith(new StatusError('ServiceUnavailable', 'later'), 'create')
    await world.apply(aClaim('data'), aUser('db', 'data'))
    await world.gone('db')
    await world.delete(CLAIM)
    world.disks.failWith(undefined, 'create')
    await world.settle()
    expect([world.volumes(), world.disks.all()]).toEqual([[], []])
  })

  it('grows with its disk; the file system follows when the node says so', async () => {
    await running()
    const claim = world.claim('data')
    if (!claim) throw new Error('no claim')
    const resources = { requests: { storage: '15Gi' } }
    await world.apply({ ...claim, spec: { ...claim.spec, resources } } as typeof claim)
    expect(world.disks.all()).toMatchObject([{ sizeGb: 15 }])
    expect(volume().spec.capacity).toEqual({ storage: '15Gi' })
    const grown = world.claim('data')
    expect(grown?.status?.capacity).toEqual({ storage: '10Gi' })
    expect(grown && conditionOf(grown, 'FileSystemResizePending')).toMatchObject({
      status: 'True',
      message:
        'Waiting for user to (re-)start a pod to finish file system resize of volume on node.',
    })
  })
})

describe('a claim of class standard', () => {
  it('gets its disk at once', async () => {
    await world.apply(aClaim('data', { storageClassName: 'standard' }))
    expect(world.claim('data')?.status?.phase).toBe('Bound')
    expect(world.disks.all()).toMatchObject([{ type: 'pd-standard', users: [] }])
  })

  it('keeps its disk when its volume is to be retained, and the volume is released', async () => {
    await world.apply(aClaim('data', { storageClassName: 'standard' }))
    const spec = { ...volume().spec, persistentVolumeReclaimPolicy: 'Retain' as const }
    await world.apply({ ...volume(), spec } as PersistentVolume)
    await world.delete(CLAIM)
    expect(world.claim('data')).toBeUndefined()
    expect(volume().status?.phase).toBe('Released')
    expect(world.disks.all()).toHaveLength(1)
    await world.delete(keyOf('persistentvolumes', '', volume().metadata.name))
    expect(world.volumes()).toEqual([])
    expect(world.disks.all()).toHaveLength(1)
  })
})

describe('a disk that is only read', () => {
  const shared = (name: string, mode: 'ReadOnlyMany' | 'ReadWriteOnce'): PersistentVolume => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, uid: `uid-${name}`, creationTimestamp: '' },
    spec: {
      capacity: { storage: '10Gi' },
      accessModes: [mode],
      persistentVolumeReclaimPolicy: 'Retain',
      csi: {
        driver: 'pd.csi.storage.gke.io',
        volumeHandle: `projects/demo/zones/${ZONE}/disks/films`,
      },
    },
  })
  const wish = (name: string, mode: 'ReadOnlyMany' | 'ReadWriteOnce') =>
    aClaim(name, { storageClassName: '', volumeName: name, accessModes: [mode] })

  beforeEach(async () => {
    const disk = { name: 'films', zone: ZONE, sizeGb: 10, type: 'pd-balanced', labels: {} }
    await world.disks.create({ ...disk, description: '' })
  })

  it('and was there before is attached to several VMs, and taken off one by one', async () => {
    await world.apply(shared('films', 'ReadOnlyMany'), wish('films', 'ReadOnlyMany'))
    expect(world.claim('films')?.status?.phase).toBe('Bound')
    const [one = '', two = ''] = await world.seeVms()
    await world.apply(
      aUser('reader-1', 'films', { node: one }),
      aUser('reader-2', 'films', { node: two }),
    )
    expect(world.disks.all()[0]?.users.toSorted()).toEqual([one, two].toSorted())
    expect(world.attachments().map(({ status }) => status?.attached)).toEqual([true, true])
    expect(world.events.join()).not.toContain('Multi-Attach')
    await world.gone('reader-1')
    expect(world.disks.all()[0]?.users).toEqual([two])
    await world.gone('reader-2')
    await world.delete(keyOf('persistentvolumeclaims', 'default', 'films'))
    // What was there before stays.
    expect(world.disks.all()).toMatchObject([{ name: 'films', users: [] }])
  })

  it('is not written through another volume meanwhile', async () => {
    const [one = '', two = ''] = await world.seeVms()
    await world.apply(shared('films', 'ReadOnlyMany'), wish('films', 'ReadOnlyMany'))
    await world.apply(aUser('reader', 'films', { node: one }))
    await world.apply(shared('cut', 'ReadWriteOnce'), wish('cut', 'ReadWriteOnce'))
    await world.apply(aUser('writer', 'cut', { node: two }))
    expect(world.disks.all()[0]?.users).toEqual([one])
    expect(world.events.join()).toContain(
      'FailedAttachVolume: AttachVolume.Attach failed for volume "cut"',
    )
    await world.gone('reader')
    expect(world.disks.all()[0]?.users).toEqual([two])
  })
})

describe('a disk that one VM may write', () => {
  it('moves as soon as its VM is known to be off, and never before', async () => {
    const { node, other } = await running()
    world.brain.put(aUser('db-2', 'data', { node: other }))
    await world.settle()
    expect(world.disks.all()[0]?.users).toEqual([node])
    expect(world.events).toContain(
      `FailedAttachVolume: Multi-Attach error for volume "${volume().metadata.name}" Volume is already used by pod(s) db`,
    )
    world.compute.killVm(node)
    await world.seeVms()
    await world.settle()
    expect(world.pod('db')).toBeUndefined()
    expect(world.disks.all()[0]?.users).toEqual([other])
    expect(world.attachments()).toMatchObject([
      { spec: { nodeName: other }, status: { attached: true } },
    ])
  })

  it('stays until the agent has unmounted it, also when the pod was deleted by force', async () => {
    const { node, other } = await running()
    await world.gone('db')
    await world.apply(aUser('db-2', 'data', { node: other }))
    expect(world.disks.all()[0]?.users).toEqual([node])
    expect(world.disks.calls.some((call) => call.startsWith('detach'))).toBe(false)
    await world.useOn(node)
    expect(world.disks.all()[0]?.users).toEqual([other])
  })

  it('is taken from a VM that hangs only after that VM was made anew', async () => {
    const { node, other } = await running()
    await world.seeVms({ [node]: false })
    await world.delete(keyOf('pods', 'default', 'db'))
    await world.apply(aUser('db-2', 'data', { node: other }))
    expect(world.disks.all()[0]?.users).toEqual([node])
    // As functions/cloud/repair.ts has it done.
    await world.compute.deleteInstance(GROUP, ZONE, node, false)
    await world.seeVms()
    await world.settle()
    expect(world.disks.all()[0]?.users).toEqual([other])
    expect(world.disks.calls.filter((call) => call.startsWith('attach'))).toHaveLength(2)
  })

  it('is not asked for at a second node by the scheduler', async () => {
    const { node } = await running()
    await world.apply(aUser('reader', 'data', { spec: { nodeSelector: { side: 'other' } } }))
    await world.apply(aUser('second', 'data'))
    expect(nodeOf('second')).toBe(node)
    expect(conditionOf(world.pod('reader') ?? {}, 'PodScheduled')?.message).toMatch(
      /^0\/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity\/selector/,
    )
  })

  it('is freed of an attachment that nobody wrote down', async () => {
    await world.apply(aClaim('data', { storageClassName: 'standard' }))
    const [stray = '', wanted = ''] = await world.seeVms()
    const { name } = volume().metadata
    const wish = { disk: name, zone: ZONE, deviceName: name, isReadOnly: false }
    await world.disks.attach({ ...wish, vm: stray })
    await world.apply(aUser('db', 'data', { node: wanted }))
    expect(world.disks.all()[0]?.users).toEqual([wanted])
  })
})

describe('a volume that is there already', () => {
  const folder = (
    name: string,
    spec: Partial<PersistentVolume['spec']> = {},
  ): PersistentVolume => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, uid: '', creationTimestamp: '', labels: { size: name } },
    spec: {
      capacity: { storage: '10Gi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: `/srv/${name}` },
      ...spec,
    },
  })
  const plain = { storageClassName: '' }

  it('is the smallest that is large enough', async () => {
    await world.apply(
      folder('large', { capacity: { storage: '50Gi' } }),
      folder('fitting', { capacity: { storage: '12Gi' } }),
      folder('small', { capacity: { storage: '5Gi' } }),
      folder('classy', { storageClassName: 'other' }),
      folder('shared', { accessModes: ['ReadWriteMany'] }),
    )
    await world.apply(aClaim('data', plain))
    expect(world.claim('data')?.spec.volumeName).toBe('fitting')
    expect(world.claim('data')?.status?.capacity).toEqual({ storage: '12Gi' })
  })

  it('is chosen by selector, or by name', async () => {
    await world.apply(folder('one'), folder('two'))
    await world.apply(aClaim('data', { ...plain, selector: { matchLabels: { size: 'two' } } }))
    await world.apply(aClaim('more', { ...plain, volumeName: 'one' }))
    expect(world.claim('data')?.spec.volumeName).toBe('two')
    expect(world.claim('more')?.status?.phase).toBe('Bound')
  })

  it('kept for a claim goes to nobody else', async () => {
    const claimRef = { namespace: 'default', name: 'kept' }
    await world.apply(folder('one', { claimRef }))
    await world.apply(aClaim('data', plain))
    expect(world.claim('data')?.status?.phase).toBe('Pending')
    expect(world.events).toContain(
      'FailedBinding: no persistent volumes available for this claim and no storage class is set',
    )
    await world.apply(aClaim('kept', plain))
    expect(world.claim('kept')?.spec.volumeName).toBe('one')
  })

  it('whose claim is gone is released, or has failed when nobody can delete it', async () => {
    await world.apply(folder('one'), folder('two', { persistentVolumeReclaimPolicy: 'Delete' }))
    await world.apply(
      aClaim('data', { ...plain, volumeName: 'one' }),
      aClaim('more', { ...plain, volumeName: 'two' }),
    )
    await world.delete(CLAIM)
    await world.delete(keyOf('persistentvolumeclaims', 'default', 'more'))
    const [one, two] = world.volumes()
    expect(one?.status?.phase).toBe('Released')
    expect(two?.status).toMatchObject({
      phase: 'Failed',
      message:
        'error getting deleter volume plugin for volume "two": no deletable volume plugin matched',
    })
  })

  it('that is deleted waits for its claim, and a claim without it is lost', async () => {
    await world.apply(folder('one'), aClaim('data', { ...plain, volumeName: 'one' }))
    await world.delete(keyOf('persistentvolumes', '', 'one'))
    expect(volume().metadata.deletionTimestamp).toBeDefined()
    world.brain.remove(keyOf('persistentvolumes', '', 'one'))
    await world.settle()
    expect(world.claim('data')?.status?.phase).toBe('Lost')
    expect(world.events).toContain(
      'ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!',
    )
  })

  it('on one node takes its pod to that node', async () => {
    const [, second = ''] = await world.seeVms()
    const terms = [
      {
        matchExpressions: [
          { key: 'kubernetes.io/hostname', operator: 'In' as const, values: [second] },
        ],
      },
    ]
    const { hostPath: _, ...spec } = folder('one').spec
    await world.apply(
      {
        ...folder('one'),
        spec: {
          ...spec,
          local: { path: '/mnt/ssd' },
          nodeAffinity: { required: { nodeSelectorTerms: terms } },
        },
      } as PersistentVolume,
      aClaim('data', plain),
    )
    await world.apply(aUser('db', 'data'))
    expect(nodeOf('db')).toBe(second)
  })
})

describe('a pod', () => {
  it.each<[string, () => Promise<void>, string]>([
    [
      'of a claim that is not there',
      () => world.apply(aUser('db', 'data')),
      'persistentvolumeclaim "data" not found',
    ],
    [
      'of a claim that waits for somebody to make its volume',
      () => world.apply(aClaim('data', { storageClassName: '' }), aUser('db', 'data')),
      'pod has unbound immediate PersistentVolumeClaims',
    ],
  ])('%s waits, and says so as Kubernetes does', async (_, given, why) => {
    await given()
    expect(conditionOf(world.pod('db') ?? {}, 'PodScheduled')?.message).toBe(
      `0/2 nodes are available: ${why}. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.`,
    )
    await world.apply(aClaim('data', { storageClassName: 'standard' }))
  })

  it('with an ephemeral volume has a claim of its own, which goes with it', async () => {
    const spec = aClaim('').spec
    await world.apply(
      aUser('db', '', {
        spec: { volumes: [{ name: 'tmp', ephemeral: { volumeClaimTemplate: { spec } } }] },
      }),
    )
    expect(world.claim('db-tmp')?.status?.phase).toBe('Bound')
    expect(nodeOf('db')).not.toBe('')
    await world.gone('db')
    expect(world.claim('db-tmp')).toBeUndefined()
    expect(world.disks.all()).toEqual([])
  })
})
