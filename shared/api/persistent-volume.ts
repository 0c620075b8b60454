// PersistentVolume: a disk, or a folder of a node, that outlives pods. Cluster-scoped.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-v1/

import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import { ALL_VERBS } from './kind.ts'
import type { Cell, KindDefinition, PrintContext } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateVolume } from './persistent-volume-validation.ts'
import type { NodeSelectorTerm, Quantity } from './pod.ts'
import { PV_PROTECTION, protect, shortAccessModes } from './volume-spec.ts'
import type { AccessMode, VolumeMode } from './volume-spec.ts'

export interface PersistentVolumeSpec {
  capacity?: Record<string, Quantity>
  accessModes?: AccessMode[]
  claimRef?: ObjectReference
  persistentVolumeReclaimPolicy?: 'Retain' | 'Recycle' | 'Delete'
  storageClassName?: string
  mountOptions?: string[]
  volumeMode?: VolumeMode
  volumeAttributesClassName?: string
  nodeAffinity?: { required?: { nodeSelectorTerms?: NodeSelectorTerm[] } }
  csi?: {
    driver: string
    /** `projects/P/zones/Z/disks/NAME`. */
    volumeHandle: string
    fsType?: string
    readOnly?: boolean
    volumeAttributes?: Record<string, string>
  }
  gcePersistentDisk?: { pdName: string; fsType?: string; partition?: number; readOnly?: boolean }
  hostPath?: { path: string; type?: string }
  local?: { path: string; fsType?: string }
  nfs?: { server?: string; path?: string; readOnly?: boolean }
}

export type PersistentVolumePhase = 'Pending' | 'Available' | 'Bound' | 'Released' | 'Failed'

export interface PersistentVolume extends KubeObject {
  spec: PersistentVolumeSpec
  status?: {
    phase?: PersistentVolumePhase
    message?: string
    reason?: string
    lastPhaseTransitionTime?: string
  }
}

export const VOLUMES = 'persistentvolumes'

export const persistentVolumeKind: KindDefinition<PersistentVolume> = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  singular: 'persistentvolume',
  shortNames: ['pv'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Capacity', 'How much it holds.'),
    column('Access Modes', 'From how many nodes it may be used.'),
    column('Reclaim Policy', 'What becomes of it when its claim is gone.'),
    column('Status', 'Whether it is bound to a claim.'),
    column('Claim', 'The claim that it is bound to.'),
    column('StorageClass', 'Its class.'),
    column('VolumeAttributesClass', 'Its class of attributes.'),
    column('Reason', 'Why it failed.'),
    AGE_COLUMN,
    wideColumn('VolumeMode', 'A file system or a bare device.'),
  ],
  cells: volumeCells,
  applyDefaults(draft, context) {
    draft.spec ??= {}
    draft.spec.persistentVolumeReclaimPolicy ??= 'Retain'
    draft.spec.volumeMode ??= 'Filesystem'
    // There are no VolumeAttributesClasses: dropped, as where the feature is off.
    delete draft.spec.volumeAttributesClassName
    if (draft.spec.hostPath) draft.spec.hostPath.type ??= ''
    if (context.old) return
    draft.status ??= { phase: 'Pending' }
    protect(draft, PV_PROTECTION)
  },
  validate: validateVolume,
  hasStatus: true,
  hasGeneration: false,
  returnsDeletedObject: true,
}

function volumeCells(volume: PersistentVolume, context: PrintContext): Cell[] {
  const { spec, status, metadata } = volume
  const { claimRef } = spec
  const phase = metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? 'Pending')
  return [
    metadata.name,
    spec.capacity?.['storage'] ?? '0',
    shortAccessModes(spec.accessModes),
    spec.persistentVolumeReclaimPolicy ?? '',
    phase,
    claimRef ? `${claimRef.namespace}/${claimRef.name}` : '',
    spec.storageClassName ?? '',
    spec.volumeAttributesClassName ?? '<unset>',
    status?.reason ?? '',
    ageOf(volume, context),
    spec.volumeMode ?? '<unset>',
  ]
}
