// Which volume a claim may have. As Kubernetes' FindMatchingVolume: the smallest that is large enough.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding

import {
  classOf,
  requestOf,
  type PersistentVolumeClaim,
} from '../../api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '../../api/persistent-volume.ts'
import { offersModes } from '../../api/volume-spec.ts'
import { compareQuantities } from '../../quantity.ts'
import { matchesLabelSelector } from '../../selector.ts'
import type { Reader } from '../../view/reader.ts'

/** What a volume lacks that the claim asks for, in Kubernetes' words; undefined: nothing. */
export function mismatch(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
): string | undefined {
  const { spec } = volume
  if (volume.metadata.deletionTimestamp) return 'the volume is marked for deletion'
  if (compareQuantities(spec.capacity?.['storage'], requestOf(claim)) < 0) {
    return 'requested PV is too small'
  }
  if ((spec.storageClassName ?? '') !== classOf(claim)) return 'storageClassName does not match'
  if ((spec.volumeMode ?? 'Filesystem') !== (claim.spec.volumeMode ?? 'Filesystem')) {
    return 'incompatible volumeMode'
  }
  if (!offersModes(spec.accessModes, claim.spec.accessModes)) return 'incompatible accessMode'
  return undefined
}

/** Kept for this claim by whoever made the volume. */
export function isKeptFor(volume: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec
  return (
    claimRef?.name === metadata.name &&
    claimRef.namespace === metadata.namespace &&
    (!claimRef.uid || claimRef.uid === metadata.uid)
  )
}

/** The volume that is kept for the claim, once it is there to be used. */
export function keptVolume(
  reader: Reader,
  claim: PersistentVolumeClaim,
): PersistentVolume | undefined {
  return volumes(reader).find(
    (volume) => isKeptFor(volume, claim) && isUsable(volume) && !mismatch(claim, volume),
  )
}

/** Of the volumes that nobody has the best for this claim; `isReachable` may rule some out. */
export function freeVolume(
  reader: Reader,
  claim: PersistentVolumeClaim,
  isReachable: (volume: PersistentVolume) => boolean = () => true,
): PersistentVolume | undefined {
  const { selector } = claim.spec
  let best: PersistentVolume | undefined
  for (const volume of volumes(reader)) {
    if (volume.spec.claimRef || !isUsable(volume) || mismatch(claim, volume)) continue
    if (selector && !matchesLabelSelector(selector, volume.metadata.labels)) continue
    if (!isReachable(volume)) continue
    const isSmaller =
      !best ||
      compareQuantities(volume.spec.capacity?.['storage'], best.spec.capacity?.['storage']) < 0
    if (isSmaller) best = volume
  }
  return best
}

function volumes(reader: Reader): readonly PersistentVolume[] {
  return reader.list(VOLUMES) as readonly PersistentVolume[]
}

/** One whose disk is still being made is Pending, and not yet to be had. */
function isUsable({ status }: PersistentVolume): boolean {
  return status?.phase === 'Available' || status?.phase === 'Bound'
}
