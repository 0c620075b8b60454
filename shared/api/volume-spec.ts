// What PersistentVolumes and PersistentVolumeClaims share: access modes, volume modes, names of
// annotations and finalizers, sizes.

import { canonicalQuantity, compareQuantities, isQuantity, NOT_A_QUANTITY } from '../quantity.ts'
import type { Cause } from '../status.ts'
import { forbidden, invalidValue, notSupported, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import type { KubeObject } from './meta.ts'

export type AccessMode = 'ReadWriteOnce' | 'ReadOnlyMany' | 'ReadWriteMany' | 'ReadWriteOncePod'
export type VolumeMode = 'Filesystem' | 'Block'

/** Google's CSI driver for persistent disks, and the name of the plugin that it replaced. */
export const PD_DRIVER = 'pd.csi.storage.gke.io'
export const GCE_PD_PLUGIN = 'kubernetes.io/gce-pd'

/** The label of a node's zone, and the key that the CSI driver uses for the same. */
export const ZONE_LABEL = 'topology.kubernetes.io/zone'
export const PD_ZONE_KEY = 'topology.gke.io/zone'

export const PVC_PROTECTION = 'kubernetes.io/pvc-protection'
export const PV_PROTECTION = 'kubernetes.io/pv-protection'
/** While a PersistentVolume carries it, there may be a disk that goes with it. */
export const PROVISIONER_FINALIZER = 'external-provisioner.volume.kubernetes.io/finalizer'

export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by'
export const STORAGE_PROVISIONER = 'volume.kubernetes.io/storage-provisioner'
/** The node whose zone a disk is to be made in: the scheduler's choice. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
/** From before StorageClasses had a field. */
export const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
const VOLUME_MODES = ['Block', 'Filesystem']
const SHORT: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}

/** `RWO,ROX`, in Kubernetes' order. */
export function shortAccessModes(modes: readonly string[] | undefined): string {
  return Object.entries(SHORT)
    .filter(([mode]) => modes?.includes(mode))
    .map(([, short]) => short)
    .join(',')
}

/** Every mode that is asked for is among those that are offered. */
export function offersModes(
  offered: readonly string[] | undefined,
  asked: readonly string[] | undefined,
): boolean {
  return (asked ?? []).every((mode) => offered?.includes(mode))
}

export function validateAccessModes(
  field: FieldPath,
  modes: readonly string[] | undefined,
  detail: string,
): Cause[] {
  if (!modes?.length) return [required(field, detail)]
  const causes = modes
    .filter((mode) => !ACCESS_MODES.includes(mode))
    .map((mode) => notSupported(field, mode, ACCESS_MODES))
  if (modes.includes('ReadWriteOncePod') && modes.length > 1) {
    causes.push(forbidden(field, 'may not use ReadWriteOncePod with other access modes'))
  }
  return causes
}

export function validateVolumeMode(field: FieldPath, mode: string | undefined): Cause[] {
  return mode === undefined || VOLUME_MODES.includes(mode)
    ? []
    : [notSupported(field, mode, VOLUME_MODES)]
}

/** A size is a quantity above zero. */
export function validateSize(field: FieldPath, size: string): Cause[] {
  if (!isQuantity(size)) return [invalidValue(field, size, NOT_A_QUANTITY)]
  return compareQuantities(size, '0') > 0
    ? []
    : [invalidValue(field, canonicalQuantity(size), 'must be greater than zero')]
}

/** Kubernetes' admission plugin StorageObjectInUseProtection: a new object gets its finalizer. */
export function protect(draft: Partial<KubeObject>, finalizer: string): void {
  const { metadata } = draft
  if (!metadata || metadata.finalizers?.includes(finalizer)) return
  metadata.finalizers = [...(metadata.finalizers ?? []), finalizer]
}
