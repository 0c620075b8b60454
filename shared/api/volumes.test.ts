// Claims, volumes, classes and attachments: what is refused, in Kubernetes' words.
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/apis/core/validation/validation.go
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/apis/storage/validation/validation.go

import { describe, expect, it, test } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { aPod } from '#test/support/objects.ts'
import type { KubeObject } from './meta.ts'
import { persistentVolumeClaimKind, type PersistentVolumeClaim } from './persistent-volume-claim.ts'
import { persistentVolumeKind, type PersistentVolume } from './persistent-volume.ts'
import { storageClassKind, type StorageClass } from './storage-class.ts'
import type { VolumeAttachment } from './volume-attachment.ts'

type ClaimSpec = Partial<PersistentVolumeClaim['spec']>
type VolumeSpec = Record<string, unknown>

function claim(spec: ClaimSpec = {}, status?: PersistentVolumeClaim['status']) {
  const whole: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: meta('data'),
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } }, ...spec },
    ...(status ? { status } : {}),
  }
  return whole
}

function volume(spec: VolumeSpec = {}): PersistentVolume {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: meta('disk', ''),
    spec: {
      capacity: { storage: '2Gi' },
      accessModes: ['ReadWriteOnce'],
      csi: { driver: 'pd.csi.storage.gke.io', volumeHandle: 'projects/p/zones/z/disks/d' },
      ...spec,
    },
  }
}

/** Its source instead of `csi`. */
function volumeOf(source: VolumeSpec): PersistentVolume {
  return volume({ csi: undefined, ...source })
}

const CLASS: StorageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: meta('fast', ''),
  provisioner: 'pd.csi.storage.gke.io',
  parameters: { type: 'pd-ssd' },
  allowVolumeExpansion: true,
}
const storageClass = (more: Partial<StorageClass> = {}): StorageClass => ({ ...CLASS, ...more })
const size = (storage: string): ClaimSpec => ({ resources: { requests: { storage } } })
const IMMUTABLE_SPEC =
  'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'
const MODES =
  'supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

describe('a new PersistentVolumeClaim', () => {
  test.each<[string, ClaimSpec, string[]]>([
    ['with all it needs', {}, []],
    [
      'without access modes',
      { accessModes: [] },
      ['spec.accessModes: Required value: at least 1 access mode is required'],
    ],
    [
      'with an access mode of its own',
      { accessModes: ['ReadWriteTwice' as 'ReadWriteOnce'] },
      [`spec.accessModes: Unsupported value: "ReadWriteTwice": ${MODES}`],
    ],
    [
      'for one pod and for many',
      { accessModes: ['ReadWriteOncePod', 'ReadOnlyMany'] },
      ['spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes'],
    ],
    ['without a size', { resources: {} }, ['spec.resources[storage]: Required value']],
    [
      'of no size',
      size('0'),
      ['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
    ],
    [
      'of less than nothing',
      size('-1Gi'),
      ['spec.resources[storage]: Invalid value: "-1Gi": must be greater than zero'],
    ],
    [
      'of a class that cannot be',
      { storageClassName: 'Fast!' },
      [`spec.storageClassName: Invalid value: "Fast!": ${SUBDOMAIN}`],
    ],
    [
      'in a mode of its own',
      { volumeMode: 'Tape' as 'Block' },
      ['spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"'],
    ],
    [
      'from a source that is nothing',
      { dataSource: { kind: 'Secret' } },
      [
        'spec.dataSource.name: Required value',
        `spec.dataSource: Invalid value: "Secret": must be 'PersistentVolumeClaim' when referencing the default apiGroup`,
      ],
    ],
    [
      'with a selector that selects nothing',
      { selector: { matchExpressions: [{ key: 'a', operator: 'In', values: [] }] } },
      [
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
      ],
    ],
  ])('%s', (_, spec, texts) => {
    expect(refusals(claim(spec))).toEqual(texts)
  })

  it('is a file system, pending, protected, and of the default class', () => {
    const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' }
    const objects = [storageClass({ metadata: { ...CLASS.metadata, annotations } })]
    expect(defaulted(claim({ volumeAttributesClassName: 'gold' }), { objects })).toMatchObject({
      metadata: { finalizers: ['kubernetes.io/pvc-protection'] },
      spec: { volumeMode: 'Filesystem', storageClassName: 'fast' },
      status: { phase: 'Pending' },
    })
    expect(defaulted(claim({ storageClassName: '' }), { objects }).spec.storageClassName).toBe('')
  })

  it('of a pod is looked at as any other', () => {
    const withTemplate = (template: object) =>
      refusals(
        aPod('p', {
          spec: {
            volumes: [{ name: 'v', ephemeral: template }],
          },
        }),
      )
    expect(withTemplate({})).toEqual([
      'spec.volumes[0].ephemeral.volumeClaimTemplate: Required value',
    ])
    expect(withTemplate({ volumeClaimTemplate: { spec: {} } })).toEqual([
      'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required',
      'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
    ])
  })
})

describe('a PersistentVolumeClaim that is there', () => {
  const CAPACITY = { phase: 'Bound' as const, capacity: { storage: '2Gi' } }
  const bound = (spec: ClaimSpec = {}, status = CAPACITY): PersistentVolumeClaim =>
    defaulted(claim({ storageClassName: 'fast', volumeName: 'disk', ...spec }, status))
  const pending = (spec: ClaimSpec = {}): PersistentVolumeClaim =>
    defaulted(claim({ storageClassName: 'fast', ...spec }, { phase: 'Pending' }))

  test.each<[string, PersistentVolumeClaim, PersistentVolumeClaim, string[]]>([
    ['stays', bound(), bound(), []],
    ['grows', bound(), bound(size('3Gi')), []],
    [
      'shrinks',
      bound(),
      bound(size('1Gi')),
      ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity'],
    ],
    [
      'takes a wish to grow back, to no more than it has',
      bound(size('5Gi')),
      bound(size('2Gi')),
      ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity'],
    ],
    ['wishes for less than it wished for', bound(size('5Gi')), bound(size('3Gi')), []],
    ['gets a volume', pending(), pending({ volumeName: 'disk' }), []],
    ['gets another volume', bound(), bound({ volumeName: 'other' }), [IMMUTABLE_SPEC]],
    ['loses its volume', bound(), claim({ storageClassName: 'fast' }), [IMMUTABLE_SPEC]],
    ['gets another class', pending(), pending({ storageClassName: 'slow' }), [IMMUTABLE_SPEC]],
    [
      'gets other access modes',
      bound(),
      bound({ accessModes: ['ReadOnlyMany'] }),
      [IMMUTABLE_SPEC],
    ],
    [
      'gets a limit',
      bound(),
      bound({ resources: { requests: { storage: '2Gi' }, limits: { storage: '9Gi' } } }),
      [IMMUTABLE_SPEC],
    ],
    [
      'is given a class where it had none',
      defaulted(claim()),
      defaulted(claim({ storageClassName: 'fast' })),
      [],
    ],
    [
      'becomes a bare device',
      bound(),
      bound({ volumeMode: 'Block' }),
      [IMMUTABLE_SPEC, 'volumeMode: Invalid value: "Block": field is immutable'],
    ],
    ['shrinks while it waits', pending(), pending(size('1Gi')), [IMMUTABLE_SPEC]],
  ])('%s', (_, old, next, texts) => {
    expect(refusals(next, { old, objects: [CLASS] })).toEqual(texts)
  })

  test.each<[string, PersistentVolumeClaim, StorageClass[], string]>([
    [
      'of a class that does not allow it',
      bound(),
      [storageClass({ allowVolumeExpansion: false })],
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    ],
    [
      'of a class that is gone',
      bound(),
      [],
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    ],
    [
      'that waits for a volume',
      pending(),
      [CLASS],
      'Only bound persistent volume claims can be expanded',
    ],
  ])('%s does not grow', (_, old, objects, why) => {
    const next = { ...old, spec: { ...old.spec, ...size('3Gi') } }
    expect(() => refusals(next, { old, objects })).toThrow(
      `persistentvolumeclaims "data" is forbidden: ${why}`,
    )
  })

  it('keeps its class in the old annotation too', () => {
    const key = 'volume.beta.kubernetes.io/storage-class'
    const old = defaulted(claim())
    old.metadata.annotations = { [key]: 'fast' }
    const next = structuredClone(old)
    next.metadata.annotations = { [key]: 'slow' }
    expect(refusals(next, { old })).toEqual([
      `metadata.annotations.${key}: Invalid value: "slow": field is immutable`,
    ])
    // From the annotation into the field it may move.
    const moved = claim({ storageClassName: 'fast' })
    expect(refusals(moved, { old })).toEqual([])
  })
})

describe('a new PersistentVolume', () => {
  const affinity = { required: { nodeSelectorTerms: [{ matchExpressions: [] }] } }
  test.each<[string, PersistentVolume, string[]]>([
    ['of a disk', volume(), []],
    ['of nothing', volumeOf({}), ['spec: Required value: must specify a volume type']],
    [
      'of three things',
      volume({ hostPath: { path: '/data' }, nfs: { server: 's', path: '/' } }),
      [
        'spec.nfs: Forbidden: may not specify more than 1 volume type',
        'spec.csi: Forbidden: may not specify more than 1 volume type',
      ],
    ],
    [
      'of a disk without a name',
      volume({ csi: { driver: 'pd.csi.storage.gke.io' } }),
      ['spec.csi.volumeHandle: Required value'],
    ],
    [
      'of a driver that cannot be',
      volume({ csi: { driver: 'no driver', volumeHandle: 'h' } }),
      [`spec.csi.driver: Invalid value: "no driver": ${SUBDOMAIN}`],
    ],
    [
      'of a disk of the old kind without a name',
      volumeOf({ gcePersistentDisk: { partition: 300 } }),
      [
        'spec.persistentDisk.pdName: Required value',
        'spec.persistentDisk.partition: Invalid value: 300: must be between 0 and 255, inclusive',
      ],
    ],
    [
      'of a folder that climbs',
      volumeOf({ hostPath: { path: '/data/../etc', type: 'Folder' } }),
      [
        `spec.hostPath.path: Invalid value: "/data/../etc": must not contain '..'`,
        'spec.hostPath.type: Unsupported value: "Folder": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
      ],
    ],
    [
      'of a local folder of no node',
      volumeOf({ local: { path: '/data' } }),
      ['spec.nodeAffinity: Required value: Local volume requires node affinity'],
    ],
    ['of a local folder', volumeOf({ local: { path: '/data' }, nodeAffinity: affinity }), []],
    [
      'of a file server',
      volumeOf({ nfs: { path: 'exports' } }),
      [
        'spec.nfs.server: Required value',
        'spec.nfs.path: Invalid value: "exports": must be an absolute path',
      ],
    ],
    [
      'of no size',
      volume({ capacity: undefined }),
      [
        'spec.capacity: Required value',
        'spec.capacity: Unsupported value: null: supported values: "storage"',
      ],
    ],
    [
      'of memory',
      volume({ capacity: { memory: '0' } }),
      [
        'spec.capacity: Unsupported value: {"memory":"0"}: supported values: "storage"',
        'spec.capacity[memory]: Invalid value: "0": must be greater than zero',
      ],
    ],
    [
      'without access modes',
      volume({ accessModes: undefined }),
      ['spec.accessModes: Required value'],
    ],
    [
      'with a policy of its own',
      volume({ persistentVolumeReclaimPolicy: 'Burn' }),
      [
        'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"',
      ],
    ],
    [
      'that would empty a whole machine',
      volumeOf({ hostPath: { path: '//./' }, persistentVolumeReclaimPolicy: 'Recycle' }),
      [
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
      ],
    ],
    [
      'with an affinity that says nothing',
      volume({ nodeAffinity: {} }),
      ['spec.nodeAffinity.required: Required value: must specify required node constraints'],
    ],
    [
      'with an affinity to no node',
      volume({ nodeAffinity: { required: {} } }),
      [
        'spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term',
      ],
    ],
    [
      'in a mode of its own',
      volume({ volumeMode: 'Tape' }),
      ['spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"'],
    ],
  ])('%s', (_, object, texts) => {
    expect(refusals(object)).toEqual(texts)
  })

  it('is kept, a file system, pending and protected, unless it says otherwise', () => {
    expect(defaulted(volumeOf({ hostPath: { path: '/data' } }))).toMatchObject({
      metadata: { finalizers: ['kubernetes.io/pv-protection'] },
      spec: {
        persistentVolumeReclaimPolicy: 'Retain',
        volumeMode: 'Filesystem',
        hostPath: { path: '/data', type: '' },
      },
      status: { phase: 'Pending' },
    })
  })
})

describe('a PersistentVolume that is there', () => {
  const zone = (name: string) => ({
    required: {
      nodeSelectorTerms: [
        { matchExpressions: [{ key: 'topology.gke.io/zone', operator: 'In', values: [name] }] },
      ],
    },
  })
  const other = { driver: 'pd.csi.storage.gke.io', volumeHandle: 'projects/p/zones/z/disks/e' }
  const SOURCE =
    'spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation'
  const ZONE_B =
    '{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"topology.gke.io/zone","operator":"In","values":["b"]}]}]}}'

  test.each<[string, VolumeSpec, VolumeSpec, string[]]>([
    ['is kept from now on', {}, { persistentVolumeReclaimPolicy: 'Retain' }, []],
    ['gets a claim', {}, { claimRef: { namespace: 'default', name: 'data' } }, []],
    ['grows', {}, { capacity: { storage: '3Gi' } }, []],
    ['gets another disk', {}, { csi: other }, [SOURCE]],
    ['becomes a folder', {}, { csi: undefined, hostPath: { path: '/d' } }, [SOURCE]],
    ['gets a zone', {}, { nodeAffinity: zone('a') }, []],
    [
      'gets another zone',
      { nodeAffinity: zone('a') },
      { nodeAffinity: zone('b') },
      [`nodeAffinity: Invalid value: ${ZONE_B}: field is immutable`],
    ],
    [
      'becomes a bare device',
      {},
      { volumeMode: 'Block' },
      ['volumeMode: Invalid value: "Block": field is immutable'],
    ],
  ])('%s', (_, before, after, texts) => {
    const old = defaulted(volume(before))
    expect(refusals(defaulted(volume({ ...before, ...after }), { old }), { old })).toEqual(texts)
  })
})

describe('a StorageClass', () => {
  const many = Object.fromEntries(Array.from({ length: 513 }, (_, index) => [`k${index}`, '']))
  const term = (...values: string[]) => ({
    matchLabelExpressions: [{ key: 'topology.gke.io/zone', values }],
  })
  test.each<[string, Partial<StorageClass>, string[]]>([
    ['as GKE has it', {}, []],
    ['of nobody', { provisioner: '' }, ['provisioner: Required value']],
    [
      'with a policy that is a volume’s',
      { reclaimPolicy: 'Recycle' as 'Delete' },
      ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'],
    ],
    [
      'with a mode of its own',
      { volumeBindingMode: 'Sometime' as 'Immediate' },
      [
        'volumeBindingMode: Unsupported value: "Sometime": supported values: "Immediate", "WaitForFirstConsumer"',
      ],
    ],
    [
      'with a parameter without a name',
      { parameters: { '': 'x' } },
      ['parameters: Invalid value: "": field can not be empty.'],
    ],
    [
      'with too many parameters',
      { parameters: many },
      ['parameters: Too long: may not be more than 512 bytes'],
    ],
    [
      'with too long parameters',
      { parameters: { a: 'x'.repeat(256 * 1024) } },
      ['parameters: Too long: may not be more than 262144 bytes'],
    ],
    [
      'for the same zones twice',
      { allowedTopologies: [term('a', 'a'), term('b'), term('b')] },
      [
        'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"',
        'allowedTopologies[2].matchLabelExpressions: Duplicate value: ""',
      ],
    ],
    [
      'for no zone',
      { allowedTopologies: [term()] },
      ['allowedTopologies[0].matchLabelExpressions[0].values: Required value'],
    ],
  ])('%s', (_, more, texts) => {
    expect(refusals(storageClass(more))).toEqual(texts)
  })

  test.each<[string, Partial<StorageClass>, string[]]>([
    ['may allow to grow', { allowVolumeExpansion: false }, []],
    [
      'keeps its parameters',
      { parameters: { type: 'pd-standard' } },
      ['parameters: Forbidden: updates to parameters are forbidden.'],
    ],
    [
      'keeps its provisioner',
      { provisioner: 'kubernetes.io/gce-pd' },
      ['provisioner: Forbidden: updates to provisioner are forbidden.'],
    ],
    [
      'keeps its policy',
      { reclaimPolicy: 'Retain' },
      ['reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.'],
    ],
    [
      'keeps when it binds',
      { volumeBindingMode: 'WaitForFirstConsumer' },
      ['volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable'],
    ],
  ])('%s', (_, more, texts) => {
    expect(refusals(storageClass(more), { old: defaulted(CLASS) })).toEqual(texts)
  })
})

describe('a VolumeAttachment', () => {
  const attachment = (spec: object = {}): VolumeAttachment => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: meta('csi-1', ''),
    spec: {
      attacher: 'pd.csi.storage.gke.io',
      nodeName: 'vm-1',
      source: { persistentVolumeName: 'disk' },
      ...spec,
    },
  })
  const ONE = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'

  test.each<[string, object, string[]]>([
    ['of a volume to a node', {}, []],
    [
      'of nothing to nowhere',
      { attacher: '', nodeName: '', source: {} },
      [
        'spec.attacher: Required value',
        `spec.source: Required value: ${ONE}`,
        `spec.nodeName: Invalid value: "": ${SUBDOMAIN}`,
      ],
    ],
    [
      'of two volumes',
      { source: { persistentVolumeName: 'disk', inlineVolumeSpec: {} } },
      [`spec.source: Forbidden: ${ONE}`],
    ],
    [
      'of a volume without a name',
      { source: { persistentVolumeName: '' } },
      [
        'spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName',
      ],
    ],
    [
      'of a volume of its own',
      { source: { inlineVolumeSpec: { hostPath: { path: '/' }, capacity: { storage: '1' } } } },
      [
        'spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes',
        'spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes',
        'spec.source.inlineVolumeSpec.accessModes: Required value',
      ],
    ],
  ])('%s', (_, spec, texts) => {
    expect(refusals(attachment(spec))).toEqual(texts)
  })

  it('stays what it is', () => {
    expect(refusals(attachment({ nodeName: 'vm-2' }), { old: attachment() })).toEqual([
      'spec: Invalid value: {"attacher":"pd.csi.storage.gke.io","nodeName":"vm-2","source":{"persistentVolumeName":"disk"}}: field is immutable',
    ])
  })
})

describe('rows', () => {
  const row = (
    kind: { cells: (object: never, context: { now: number }) => unknown[] },
    object: KubeObject,
  ) => kind.cells(object as never, { now: NOW })

  it('of claims: nothing of a volume before there is one', () => {
    const waiting = claim({ storageClassName: 'fast' }, { phase: 'Pending' })
    expect(row(persistentVolumeClaimKind, waiting)).toEqual([
      'data',
      'Pending',
      '',
      '',
      '',
      'fast',
      '<unset>',
      '0s',
      '<unset>',
    ])
    const bound = claim(
      { storageClassName: 'fast', volumeName: 'disk', volumeMode: 'Filesystem' },
      {
        phase: 'Bound',
        capacity: { storage: '2Gi' },
        accessModes: ['ReadOnlyMany', 'ReadWriteOnce'],
      },
    )
    expect(row(persistentVolumeClaimKind, bound)).toEqual([
      'data',
      'Bound',
      'disk',
      '2Gi',
      'RWO,ROX',
      'fast',
      '<unset>',
      '0s',
      'Filesystem',
    ])
    bound.metadata.deletionTimestamp = bound.metadata.creationTimestamp
    expect(row(persistentVolumeClaimKind, bound)[1]).toBe('Terminating')
  })

  it('of volumes', () => {
    const object = volume({
      claimRef: { namespace: 'shop', name: 'data' },
      persistentVolumeReclaimPolicy: 'Delete',
      storageClassName: 'fast',
      volumeMode: 'Filesystem',
    })
    object.status = { phase: 'Failed', reason: 'VolumeFailedDelete' }
    expect(row(persistentVolumeKind, object)).toEqual([
      'disk',
      '2Gi',
      'RWO',
      'Delete',
      'Failed',
      'shop/data',
      'fast',
      '<unset>',
      'VolumeFailedDelete',
      '0s',
      'Filesystem',
    ])
  })

  it('of classes, the default one marked', () => {
    const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' }
    const object = storageClass({ metadata: { ...CLASS.metadata, annotations } })
    expect(row(storageClassKind, object)).toEqual([
      'fast (default)',
      'pd.csi.storage.gke.io',
      'Delete',
      'Immediate',
      true,
      '0s',
    ])
  })
})
