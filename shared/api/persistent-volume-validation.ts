// What is wrong with a PersistentVolume, in Kubernetes' words (pkg/apis/core/validation), quirks of field names
// included.

import { isEqual } from '../equal.ts'
import type { Cause } from '../status.ts'
import { validateNodeSelectorTerms } from './affinity-validation.ts'
import {
  IMMUTABLE,
  child,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
  tooLong,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { oldOf } from './kind.ts'
import type { AdmissionContext } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsSubdomainProblems } from './name-rules.ts'
import type { PersistentVolume, PersistentVolumeSpec } from './persistent-volume.ts'
import type { Quantity } from './pod.ts'
import { validateAccessModes, validateSize, validateVolumeMode } from './volume-spec.ts'
import {
  validateHostPath,
  validateNfs,
  validateNoBackstep,
  validatePersistentDisk,
} from './volume-validation.ts'

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
/** Sources are looked at in this order; the first one counts. Others stand between nfs and local. */
const FIRST_SOURCES = ['hostPath', 'gcePersistentDisk', 'nfs']
const LAST_SOURCES = ['local', 'csi']
const CSI_DRIVER_NAME_MAX = 63

export function validateVolume(volume: PersistentVolume, context: AdmissionContext): Cause[] {
  const { spec } = volume
  const causes = [
    ...validateMeta(volume, { isNamespaced: false }, context),
    ...validateAccessModes('spec.accessModes', spec.accessModes, ''),
    ...validateCapacity('spec.capacity', spec.capacity),
    ...validatePolicy(spec),
    ...validateAffinity('spec.nodeAffinity', spec),
    ...validateSource('spec', spec),
    ...validateRecycling(spec),
    ...validateClass(spec.storageClassName),
    ...validateVolumeMode('spec.volumeMode', spec.volumeMode),
  ]
  const old = oldOf(volume, context)
  return old ? [...causes, ...validateUpdate(spec, old.spec)] : causes
}

/** The spec of a volume that is part of a VolumeAttachment. */
export function validateInlineVolume(path: FieldPath, spec: PersistentVolumeSpec): Cause[] {
  const { claimRef, capacity, csi, persistentVolumeReclaimPolicy: policy, volumeMode } = spec
  const inline = 'in the context of inline volumes'
  const causes: Cause[] = []
  const forbid = (name: string, detail: string): void => {
    causes.push(forbidden(child(path, name), `${detail} ${inline}`))
  }
  if (claimRef) forbid('claimRef', 'may not be specified')
  if (Object.keys(capacity ?? {}).length > 0) forbid('capacity', 'may not be specified')
  if (!csi) causes.push(required(child(path, 'csi'), `has to be specified ${inline}`))
  causes.push(...validateAccessModes(child(path, 'accessModes'), spec.accessModes, ''))
  if (policy && policy !== 'Retain') forbid('persistentVolumeReclaimPolicy', 'may only be Retain')
  if (spec.nodeAffinity) forbid('nodeAffinity', 'may not be specified')
  causes.push(...validateSource(path, spec))
  if (spec.storageClassName) forbid('storageClassName', 'may not be specified')
  if (volumeMode && volumeMode !== 'Filesystem') {
    forbid('volumeMode', 'may not specify volumeMode other than Filesystem')
  }
  return causes
}

function validateCapacity(
  path: FieldPath,
  capacity: Record<string, Quantity> | undefined,
): Cause[] {
  const sizes = Object.entries(capacity ?? {})
  const causes = sizes.length === 0 ? [required(path)] : []
  if (capacity?.['storage'] === undefined || sizes.length > 1) {
    causes.push(notSupported(path, sizes.length > 0 ? capacity : null, ['storage']))
  }
  return [...causes, ...sizes.flatMap(([name, size]) => validateSize(`${path}[${name}]`, size))]
}

function validatePolicy(spec: PersistentVolumeSpec): Cause[] {
  const policy: string = spec.persistentVolumeReclaimPolicy ?? ''
  return POLICIES.includes(policy)
    ? []
    : [notSupported('spec.persistentVolumeReclaimPolicy', policy, POLICIES)]
}

function validateAffinity(path: FieldPath, { nodeAffinity }: PersistentVolumeSpec): Cause[] {
  if (!nodeAffinity) return []
  const must = nodeAffinity.required
  const field = child(path, 'required')
  if (!must) return [required(field, 'must specify required node constraints')]
  return validateNodeSelectorTerms(child(field, 'nodeSelectorTerms'), must.nodeSelectorTerms ?? [])
}

/** The names of the sources that a spec has, in the order in which Kubernetes looks for them. */
function sourcesOf(spec: PersistentVolumeSpec): string[] {
  const rankOf = (name: string): number =>
    LAST_SOURCES.includes(name)
      ? FIRST_SOURCES.length + 1 + LAST_SOURCES.indexOf(name)
      : (FIRST_SOURCES.indexOf(name) + FIRST_SOURCES.length + 1) % (FIRST_SOURCES.length + 1)
  return Object.entries(spec)
    .filter(([name, value]) => !NOT_SOURCES.has(name) && value !== undefined && value !== null)
    .map(([name]) => name)
    .toSorted((a, b) => rankOf(a) - rankOf(b))
}

function validateSource(path: FieldPath, spec: PersistentVolumeSpec): Cause[] {
  const [first, ...others] = sourcesOf(spec)
  if (first === undefined) return [required(path, 'must specify a volume type')]
  return [
    ...validateKnownSource(path, first, spec),
    ...others.map((name) =>
      forbidden(child(path, name), 'may not specify more than 1 volume type'),
    ),
  ]
}

function validateKnownSource(path: FieldPath, name: string, spec: PersistentVolumeSpec): Cause[] {
  const { csi, gcePersistentDisk, hostPath, local, nfs, nodeAffinity } = spec
  if (name === 'csi' && csi) return validateCsi(child(path, 'csi'), csi)
  if (name === 'gcePersistentDisk' && gcePersistentDisk) {
    return validatePersistentDisk(child(path, 'persistentDisk'), gcePersistentDisk)
  }
  if (name === 'hostPath' && hostPath) return validateHostPath(child(path, 'hostPath'), hostPath)
  if (name === 'nfs' && nfs) return validateNfs(child(path, 'nfs'), nfs)
  if (name !== 'local' || !local) return []
  const field = child(path, 'local', 'path')
  return [
    ...(local.path ? validateNoBackstep(field, local.path) : [required(field)]),
    ...(nodeAffinity?.required
      ? []
      : [required(child(path, 'nodeAffinity'), 'Local volume requires node affinity')]),
  ]
}

function validateCsi(path: FieldPath, csi: NonNullable<PersistentVolumeSpec['csi']>): Cause[] {
  return [
    ...validateDriverName(child(path, 'driver'), csi.driver),
    ...(csi.volumeHandle ? [] : [required(child(path, 'volumeHandle'))]),
  ]
}

/** The name of a CSI driver. */
function validateDriverName(field: FieldPath, driver: string | undefined): Cause[] {
  if (!driver) return [required(field), ...invalidEach(field, '', dnsSubdomainProblems(''))]
  return [
    ...(driver.length > CSI_DRIVER_NAME_MAX ? [tooLong(field, CSI_DRIVER_NAME_MAX)] : []),
    ...invalidEach(field, driver, dnsSubdomainProblems(driver.toLowerCase())),
  ]
}

function validateRecycling({ hostPath, persistentVolumeReclaimPolicy }: PersistentVolumeSpec) {
  const isRoot = /^\/+(\.?\/*)*$/.test(hostPath?.path ?? '')
  if (!isRoot || persistentVolumeReclaimPolicy !== 'Recycle') return []
  const detail = "may not be 'recycle' for a hostPath mount of '/'"
  return [forbidden('spec.persistentVolumeReclaimPolicy', detail)]
}

function validateClass(name: string | undefined): Cause[] {
  return name ? invalidEach('spec.storageClassName', name, dnsSubdomainProblems(name)) : []
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
    causes.push(invalidValue('volumeMode', spec.volumeMode, IMMUTABLE))
  }
  if (old.nodeAffinity && !isEqual(spec.nodeAffinity, old.nodeAffinity)) {
    causes.push(invalidValue('nodeAffinity', spec.nodeAffinity ?? null, IMMUTABLE))
  }
  return causes
}
