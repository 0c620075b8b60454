// PersistentVolume: a disk, or a folder of a node, that outlives pods. Cluster-scoped.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-v1/

import { isEqual } from '../equal.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import {
  IMMUTABLE,
  child,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, Cell, KindDefinition, PrintContext } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsSubdomainProblems } from './name-rules.ts'
import type { NodeSelectorTerm, Quantity } from './pod.ts'
import {
  PV_PROTECTION,
  protect,
  shortAccessModes,
  validateAccessModes,
  validateSize,
  validateVolumeMode,
} from './volume-spec.ts'
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
  nfs?: { server: string; path: string; readOnly?: boolean }
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

/** Fields of a spec that are not a volume's source. */
const NOT_SOURCES: ReadonlySet<string> = new Set([
  'capacity',
  'accessModes',
  'claimRef',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'mountOptions',
  'volumeMode',
  'volumeAttributesClassName',
  'nodeAffinity',
])
const POLICIES = ['Delete', 'Recycle', 'Retain']

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

/** The names of the sources that a spec has: `csi`, `hostPath`. */
function sourcesOf(spec: PersistentVolumeSpec): string[] {
  return Object.entries(spec)
    .filter(([name, value]) => !NOT_SOURCES.has(name) && value !== undefined && value !== null)
    .map(([name]) => name)
}

function validateVolume(volume: PersistentVolume, context: AdmissionContext): Cause[] {
  const { spec } = volume
  const causes = [
    ...validateMeta(volume, { isNamespaced: false }, context),
    ...validateAccessModes('spec.accessModes', spec.accessModes, ''),
    ...validateCapacity(spec.capacity),
    ...validateSource(spec),
    ...validateVolumeMode('spec.volumeMode', spec.volumeMode),
  ]
  const policy = spec.persistentVolumeReclaimPolicy ?? ''
  if (!POLICIES.includes(policy)) {
    causes.push(notSupported('spec.persistentVolumeReclaimPolicy', policy, POLICIES))
  }
  if (spec.hostPath?.path === '/' && policy === 'Recycle') {
    const detail = "may not be 'recycle' for a hostPath mount of '/'"
    causes.push(forbidden('spec.persistentVolumeReclaimPolicy', detail))
  }
  if (spec.storageClassName) {
    const field = 'spec.storageClassName'
    const problems = dnsSubdomainProblems(spec.storageClassName)
    causes.push(...invalidEach(field, spec.storageClassName, problems))
  }
  const old = oldOf(volume, context)
  return old ? [...causes, ...validateUpdate(spec, old.spec)] : causes
}

function validateCapacity(capacity: Record<string, Quantity> | undefined): Cause[] {
  const names = Object.keys(capacity ?? {})
  if (!capacity || names.length === 0) return [required('spec.capacity')]
  const size = capacity['storage']
  if (size === undefined || names.length > 1) {
    return [notSupported('spec.capacity', names.join(','), ['storage'])]
  }
  return validateSize('spec.capacity[storage]', size)
}

function validateSource(spec: PersistentVolumeSpec): Cause[] {
  const [first, ...others] = sourcesOf(spec)
  if (first === undefined) return [required('spec', 'must specify a volume type')]
  const causes = others.map((name) =>
    forbidden(child('spec', name), 'may not specify more than 1 volume type'),
  )
  const { csi, gcePersistentDisk, hostPath, local, nodeAffinity } = spec
  const need = (field: string, value: string | undefined): void => {
    if (!value) causes.push(required(field))
  }
  if (csi) {
    need('spec.csi.driver', csi.driver)
    need('spec.csi.volumeHandle', csi.volumeHandle)
  }
  if (gcePersistentDisk) need('spec.gcePersistentDisk.pdName', gcePersistentDisk.pdName)
  if (hostPath) {
    need('spec.hostPath.path', hostPath.path)
    causes.push(...withoutBackstep('spec.hostPath.path', hostPath.path))
  }
  if (local) {
    need('spec.local.path', local.path)
    causes.push(...withoutBackstep('spec.local.path', local.path))
    if (!nodeAffinity?.required) {
      causes.push(required('spec.nodeAffinity', 'Local volume requires node affinity'))
    }
  }
  return causes
}

function withoutBackstep(field: string, path: string | undefined): Cause[] {
  const goesUp = path?.split('/').includes('..') ?? false
  return goesUp ? [invalidValue(field, path, "must not contain '..'")] : []
}

function validateUpdate(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): Cause[] {
  const sourceOf = (from: PersistentVolumeSpec): unknown =>
    Object.fromEntries(Object.entries(from).filter(([name]) => !NOT_SOURCES.has(name)))
  const causes: Cause[] = []
  if (!isEqual(sourceOf(spec), sourceOf(old))) {
    const detail = 'spec.persistentvolumesource is immutable after creation'
    causes.push(forbidden('spec.persistentvolumesource', detail))
  }
  if (spec.volumeMode !== old.volumeMode) {
    causes.push(invalidValue('spec.volumeMode', spec.volumeMode, IMMUTABLE))
  }
  if (old.nodeAffinity && !isEqual(spec.nodeAffinity, old.nodeAffinity)) {
    causes.push(invalidValue('spec.nodeAffinity', spec.nodeAffinity ?? null, IMMUTABLE))
  }
  return causes
}
