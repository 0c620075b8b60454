// Whom a claim, a volume or an attachment concerns: the cloud function, which makes, moves and removes
// disks, and the nodes whose pods wait for them.

import type { KubeObject } from '#shared/api/meta.ts'
import { CLAIMS, type PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { VolumeAttachment } from '#shared/api/volume-attachment.ts'
import { PD_DRIVER, STORAGE_PROVISIONER } from '#shared/api/volume-spec.ts'
import { isEqual } from '#shared/equal.ts'
import { splitKey } from '#shared/key.ts'
import type { Change } from '#shared/ports/store.ts'
import { attachmentsOf, podsUsing } from '#shared/reconcile/volumes/relations.ts'
import type { Reader } from '#shared/view/reader.ts'

/** Adds whom this change concerns. */
export function addVolumes(
  concerns: { nodes: Set<string>; cloud: boolean },
  { key, before, after }: Change,
  reader: Reader,
): void {
  const { resource, namespace, name } = splitKey(key)
  if (isForeign(after ?? before)) return
  concerns.cloud ||= !isEqual(asked(before), asked(after))
  if (resource === CLAIMS) {
    if (hasSameVolume(before, after)) return
    for (const { spec } of podsUsing(reader, namespace, name)) {
      if (spec.nodeName) concerns.nodes.add(spec.nodeName)
    }
  } else if (resource === VOLUMES) {
    const size = (object: KubeObject | undefined): unknown =>
      (object as PersistentVolume | undefined)?.spec.capacity
    if (!before || !after || isEqual(size(before), size(after))) return
    for (const { spec } of attachmentsOf(reader, name)) concerns.nodes.add(spec.nodeName)
  } else {
    const attachment = (after ?? before) as VolumeAttachment
    const state = (object: KubeObject | undefined): unknown =>
      object && [
        (object as VolumeAttachment).status?.attached,
        object.metadata.deletionTimestamp !== undefined,
      ]
    // Nothing to do there before it is attached.
    const isNews = attachment.status?.attached && !isEqual(state(before), state(after))
    if (isNews) concerns.nodes.add(attachment.spec.nodeName)
  }
}

/** An attachment that somebody else carries out. */
function isForeign(object: KubeObject | undefined): boolean {
  if (object?.kind !== 'VolumeAttachment') return false
  return (object as VolumeAttachment).spec.attacher !== PD_DRIVER
}

/** The part of an object that asks something of Compute Engine. */
function asked(object: KubeObject | undefined): unknown {
  if (!object) return undefined
  const isLeaving = object.metadata.deletionTimestamp !== undefined
  if (object.kind === 'PersistentVolumeClaim') {
    const { spec, metadata } = object as PersistentVolumeClaim
    const provisioner = metadata.annotations?.[STORAGE_PROVISIONER]
    return [provisioner, spec.resources, spec.volumeName, isLeaving]
  }
  if (object.kind === 'PersistentVolume') {
    const { status, spec } = object as PersistentVolume
    return [status?.phase, spec.persistentVolumeReclaimPolicy, spec.claimRef?.uid, isLeaving]
  }
  return [isLeaving, (object as VolumeAttachment).status?.attached]
}

function hasSameVolume(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  const of = (object: KubeObject | undefined): unknown => {
    const { spec, status } = (object ?? {}) as Partial<PersistentVolumeClaim>
    return [spec?.volumeName, status?.phase]
  }
  return isEqual(of(before), of(after))
}
