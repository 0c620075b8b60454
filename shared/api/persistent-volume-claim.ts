// PersistentVolumeClaim: that somebody wants a volume, and which one it got.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/

import { isEqual } from '../equal.ts'
import { keyOf } from '../key.ts'
import { compareQuantities } from '../quantity.ts'
import { StatusError } from '../status.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import { forbidden, invalidEach, required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, Cell, KindDefinition, PrintContext } from './kind.ts'
import type { Condition, KubeObject, LabelSelector } from './meta.ts'
import { validateLabelSelector, validateMeta } from './meta-validation.ts'
import { dnsSubdomainProblems } from './name-rules.ts'
import type { Quantity } from './pod.ts'
import { STORAGE_CLASSES, defaultClass } from './storage-class.ts'
import type { StorageClass } from './storage-class.ts'
import {
  BETA_CLASS,
  PVC_PROTECTION,
  protect,
  shortAccessModes,
  validateAccessModes,
  validateSize,
  validateVolumeMode,
} from './volume-spec.ts'
import type { AccessMode, VolumeMode } from './volume-spec.ts'

export interface PersistentVolumeClaimSpec {
  accessModes?: AccessMode[]
  selector?: LabelSelector
  resources?: { requests?: Record<string, Quantity>; limits?: Record<string, Quantity> }
  volumeName?: string
  /** Absent: the default class; '': no class, only volumes without one. */
  storageClassName?: string
  volumeMode?: VolumeMode
  volumeAttributesClassName?: string
  dataSource?: Record<string, unknown>
  dataSourceRef?: Record<string, unknown>
}

export interface PersistentVolumeClaim extends KubeObject {
  spec: PersistentVolumeClaimSpec
  status?: {
    phase?: 'Pending' | 'Bound' | 'Lost'
    accessModes?: AccessMode[]
    capacity?: Record<string, Quantity>
    conditions?: Condition[]
    allocatedResources?: Record<string, Quantity>
    allocatedResourceStatuses?: Record<string, string>
  }
}

export const CLAIMS = 'persistentvolumeclaims'

export const persistentVolumeClaimKind: KindDefinition<PersistentVolumeClaim> = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  singular: 'persistentvolumeclaim',
  shortNames: ['pvc'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Status', 'Whether it has a volume.'),
    column('Volume', 'Its volume.'),
    column('Capacity', 'How much that holds.'),
    column('Access Modes', 'From how many nodes it may be used.'),
    column('StorageClass', 'Its class.'),
    column('VolumeAttributesClass', 'Its class of attributes.'),
    AGE_COLUMN,
    wideColumn('VolumeMode', 'A file system or a bare device.'),
  ],
  cells: claimCells,
  applyDefaults(draft, context) {
    draft.spec ??= {}
    draft.spec.volumeMode ??= 'Filesystem'
    const { old, reader } = context
    if (old) return
    draft.status ??= { phase: 'Pending' }
    if (draft.spec.storageClassName === undefined && !draft.metadata?.annotations?.[BETA_CLASS]) {
      const name = defaultClass(reader.list(STORAGE_CLASSES))
      if (name) draft.spec.storageClassName = name
    }
    protect(draft, PVC_PROTECTION)
  },
  validate: validateClaim,
  hasStatus: true,
  hasGeneration: false,
  returnsDeletedObject: true,
}

function claimCells(claim: PersistentVolumeClaim, context: PrintContext): Cell[] {
  const { spec, status, metadata } = claim
  const isBound = Boolean(spec.volumeName)
  return [
    metadata.name,
    metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? 'Pending'),
    spec.volumeName ?? '',
    isBound ? (status?.capacity?.['storage'] ?? '0') : '',
    isBound ? shortAccessModes(status?.accessModes) : '',
    classOf(claim),
    spec.volumeAttributesClassName ?? '<unset>',
    ageOf(claim, context),
    spec.volumeMode ?? '<unset>',
  ]
}

/** The class by name; '' where it has none. */
export function classOf({ metadata, spec }: PersistentVolumeClaim): string {
  return metadata.annotations?.[BETA_CLASS] ?? spec.storageClassName ?? ''
}

/** How much it asks for. */
export function requestOf({ spec }: PersistentVolumeClaim): Quantity {
  return spec.resources?.requests?.['storage'] ?? '0'
}

function validateClaim(claim: PersistentVolumeClaim, context: AdmissionContext): Cause[] {
  const { spec } = claim
  const size = spec.resources?.requests?.['storage']
  const causes = [
    ...validateMeta(claim, { isNamespaced: true }, context),
    ...validateAccessModes(
      'spec.accessModes',
      spec.accessModes,
      'at least 1 access mode is required',
    ),
    ...(spec.selector ? validateLabelSelector('spec.selector', spec.selector) : []),
    ...(size === undefined
      ? [required('spec.resources[storage]')]
      : validateSize('spec.resources[storage]', size)),
    ...validateVolumeMode('spec.volumeMode', spec.volumeMode),
  ]
  if (spec.storageClassName) {
    const field = 'spec.storageClassName'
    const problems = dnsSubdomainProblems(spec.storageClassName)
    causes.push(...invalidEach(field, spec.storageClassName, problems))
  }
  const old = oldOf(claim, context)
  return old ? [...causes, ...validateUpdate(claim, old, context)] : causes
}

const IMMUTABLE_SPEC =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'

function validateUpdate(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
  context: AdmissionContext,
): Cause[] {
  const isBound = old.status?.phase === 'Bound'
  const fixed = ({ spec }: PersistentVolumeClaim): unknown => {
    const { resources, volumeName, volumeAttributesClassName: _, ...rest } = spec
    return {
      ...rest,
      // A volume may be named, and a class given, as long as there is none.
      ...(old.spec.volumeName ? { volumeName } : {}),
      ...(old.spec.storageClassName === undefined && !isBound ? { storageClassName: '' } : {}),
      ...(isBound ? { limits: resources?.limits } : { resources }),
    }
  }
  if (!isEqual(fixed(claim), fixed(old))) return [forbidden('spec', IMMUTABLE_SPEC)]
  const [wanted, before] = [requestOf(claim), requestOf(old)]
  const change = compareQuantities(wanted, before)
  if (change === 0) return []
  if (compareQuantities(wanted, old.status?.capacity?.['storage']) < 0) {
    const field = 'spec.resources.requests.storage'
    return [forbidden(field, 'field can not be less than status.capacity')]
  }
  if (change > 0) checkExpansion(claim, context)
  return []
}

/** Kubernetes' admission plugin PersistentVolumeClaimResize. */
function checkExpansion(claim: PersistentVolumeClaim, { reader }: AdmissionContext): void {
  const { name } = claim.metadata
  const key = keyOf(STORAGE_CLASSES, '', classOf(claim))
  const storageClass = reader.get(key) as StorageClass | undefined
  if (storageClass?.allowVolumeExpansion) return
  const why =
    'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize'
  throw new StatusError('Forbidden', `persistentvolumeclaims "${name}" is forbidden: ${why}`, {
    name,
    kind: 'persistentvolumeclaims',
  })
}
