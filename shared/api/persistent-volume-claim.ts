// PersistentVolumeClaim: that somebody wants a volume, and which one it got.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/

import { isEqual } from '../equal.ts'
import { keyOf } from '../key.ts'
import { compareQuantities } from '../quantity.ts'
import { StatusError } from '../status.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import { IMMUTABLE, child, forbidden, invalidEach, invalidValue, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
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
    // There are no VolumeAttributesClasses: dropped, as where the feature is off.
    delete draft.spec.volumeAttributesClassName
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
  const causes = [
    ...validateMeta(claim, { isNamespaced: true }, context),
    ...validateClaimSpec('spec', claim.spec),
  ]
  const old = oldOf(claim, context)
  return old ? [...causes, ...validateUpdate(claim, old, context)] : causes
}

/** The spec of a claim, or of the template of a pod's own claim. */
export function validateClaimSpec(path: FieldPath, spec: PersistentVolumeClaimSpec): Cause[] {
  const { accessModes, selector, storageClassName, volumeMode } = spec
  const size = spec.resources?.requests?.['storage']
  const storage = `${child(path, 'resources')}[storage]`
  const modes = child(path, 'accessModes')
  const causes = [
    ...validateAccessModes(modes, accessModes, 'at least 1 access mode is required'),
    ...(selector ? validateLabelSelector(child(path, 'selector'), selector) : []),
    ...(size === undefined ? [required(storage)] : validateSize(storage, size)),
  ]
  if (storageClassName) {
    const problems = dnsSubdomainProblems(storageClassName)
    causes.push(...invalidEach(child(path, 'storageClassName'), storageClassName, problems))
  }
  causes.push(...validateVolumeMode(child(path, 'volumeMode'), volumeMode))
  for (const name of ['dataSource', 'dataSourceRef'] as const) {
    if (spec[name]) causes.push(...validateDataSource(child(path, name), spec[name]))
  }
  return causes
}

function validateDataSource(path: FieldPath, source: Record<string, unknown>): Cause[] {
  const { name, kind, apiGroup } = source
  return [
    ...(name ? [] : [required(child(path, 'name'))]),
    ...(kind ? [] : [required(child(path, 'kind'))]),
    ...(apiGroup || kind === 'PersistentVolumeClaim'
      ? []
      : [
          invalidValue(
            path,
            kind ?? '',
            "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
          ),
        ]),
  ]
}

const IMMUTABLE_SPEC =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'

function validateUpdate(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
  context: AdmissionContext,
): Cause[] {
  const isBound = old.status?.phase === 'Bound'
  const [wanted, before] = [requestOf(claim), requestOf(old)]
  const change = compareQuantities(wanted, before)
  if (change > 0) checkExpansion(claim, old, context)
  const causes: Cause[] = []
  const fixed = ({ spec }: PersistentVolumeClaim): unknown => {
    const { resources, volumeName, ...rest } = spec
    const { storage: _, ...requests } = resources?.requests ?? {}
    return {
      ...rest,
      // A volume may be named, and a class given, as long as there is none.
      ...(old.spec.volumeName ? { volumeName } : {}),
      ...(isClassNew(claim, old) ? { storageClassName: '' } : {}),
      resources: isBound ? { requests, limits: resources?.limits ?? {} } : resources,
    }
  }
  const [nextClass, oldClass] = [claim, old].map(
    ({ metadata }) => metadata.annotations?.[BETA_CLASS],
  )
  if (nextClass !== oldClass && !(nextClass === undefined && isClassNew(claim, old))) {
    causes.push(invalidValue(`metadata.annotations.${BETA_CLASS}`, nextClass ?? '', IMMUTABLE))
  }
  if (!isEqual(fixed(claim), fixed(old))) causes.push(forbidden('spec', IMMUTABLE_SPEC))
  if (change < 0 && compareQuantities(wanted, old.status?.capacity?.['storage']) <= 0) {
    const field = 'spec.resources.requests.storage'
    causes.push(forbidden(field, 'field can not be less than status.capacity'))
  }
  if (claim.spec.volumeMode !== old.spec.volumeMode) {
    causes.push(invalidValue('volumeMode', claim.spec.volumeMode, IMMUTABLE))
  }
  return causes
}

/** The class is said for the first time, or moves from the annotation to its field. */
function isClassNew({ spec }: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  if (spec.storageClassName === undefined || old.spec.storageClassName !== undefined) return false
  const annotation = old.metadata.annotations?.[BETA_CLASS]
  return annotation === undefined || annotation === spec.storageClassName
}

/** Kubernetes' admission plugin PersistentVolumeClaimResize. */
function checkExpansion(
  claim: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
  { reader }: AdmissionContext,
): void {
  const { name } = claim.metadata
  const isBound = old.status?.phase === 'Bound'
  const className = classOf(claim)
  const storageClass = reader.get(keyOf(STORAGE_CLASSES, '', className)) as StorageClass | undefined
  const isAllowed = className === classOf(old) && storageClass?.allowVolumeExpansion
  if (isBound && isAllowed) return
  const why = isBound
    ? 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize'
    : 'Only bound persistent volume claims can be expanded'
  throw new StatusError('Forbidden', `persistentvolumeclaims "${name}" is forbidden: ${why}`, {
    name,
    kind: 'persistentvolumeclaims',
  })
}
