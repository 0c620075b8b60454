// How pods, claims, volumes, disks and nodes hang together. Pure lookups, shared by the controllers of
// this folder, the scheduler, the cloud function and the api function.

import type { KubeObject } from '../../api/meta.ts'
import { CLAIMS, type PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import {
  VOLUMES,
  type PersistentVolume,
  type PersistentVolumeSpec,
} from '../../api/persistent-volume.ts'
import { isPodTerminal } from '../../api/pod-conditions.ts'
import type { Pod, PodSpec, Volume } from '../../api/pod.ts'
import {
  ATTACHED_INSTANCE,
  VOLUME_ATTACHMENTS,
  type VolumeAttachment,
} from '../../api/volume-attachment.ts'
import { PD_DRIVER, PD_ZONE_KEY, PROVISIONER_FINALIZER, ZONE_LABEL } from '../../api/volume-spec.ts'
import { keyOf, type Key } from '../../key.ts'
import type { Reader } from '../../view/reader.ts'
import { isFenced } from '../fence.ts'

/** The claim that a pod's volume names, or that is made for it; undefined: it is no claim's. */
export function claimNameOf(pod: Pick<KubeObject, 'metadata'>, volume: Volume): string | undefined {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName
  return volume.ephemeral ? `${pod.metadata.name}-${volume.name}` : undefined
}

/** All claims of a pod, each once. */
export function claimNamesOf(pod: { metadata: KubeObject['metadata']; spec: PodSpec }): string[] {
  const names = (pod.spec.volumes ?? []).flatMap((volume) => claimNameOf(pod, volume) ?? [])
  return names.length > 1 ? [...new Set(names)] : names
}

export function claimKey(namespace: string | undefined, name: string): Key {
  return keyOf(CLAIMS, namespace, name)
}

export function volumeKey(name: string): Key {
  return keyOf(VOLUMES, '', name)
}

export function claimOf(
  reader: Reader,
  namespace: string | undefined,
  name: string,
): PersistentVolumeClaim | undefined {
  return reader.get(claimKey(namespace, name)) as PersistentVolumeClaim | undefined
}

export function volumeNamed(reader: Reader, name: string): PersistentVolume | undefined {
  return reader.get(volumeKey(name)) as PersistentVolume | undefined
}

/** The claim that a volume is bound to, if it is this very one and still there. */
export function claimOfVolume(
  reader: Reader,
  { spec: { claimRef } }: PersistentVolume,
): PersistentVolumeClaim | undefined {
  if (!claimRef?.name) return undefined
  const claim = claimOf(reader, claimRef.namespace, claimRef.name)
  return !claimRef.uid || claim?.metadata.uid === claimRef.uid ? claim : undefined
}

/** The pods of the claim's namespace that name it and have not ended. */
export function podsUsing(reader: Reader, namespace: string | undefined, name: string): Pod[] {
  return (reader.list('pods', namespace ?? '') as readonly Pod[]).filter(
    (pod) => pod.spec.volumes && !isPodTerminal(pod) && claimNamesOf(pod).includes(name),
  )
}

/** A persistent disk of Compute Engine. */
export interface DiskRef {
  name: string
  zone: string
}

const HANDLE = /^projects\/[^/]+\/zones\/([^/]+)\/disks\/([^/]+)$/

/** The disk behind a volume; undefined: it is something else. */
export function diskOf({ spec }: { spec: PersistentVolumeSpec }): DiskRef | undefined {
  if (spec.csi?.driver === PD_DRIVER) {
    const [, zone, name] = HANDLE.exec(spec.csi.volumeHandle) ?? []
    return zone && name ? { zone, name } : undefined
  }
  const name = spec.gcePersistentDisk?.pdName
  const zone = zoneOf(spec)
  return name && zone ? { name, zone } : undefined
}

/** The zone that a volume's node affinity names. */
function zoneOf({ nodeAffinity }: PersistentVolumeSpec): string | undefined {
  return nodeAffinity?.required?.nodeSelectorTerms
    ?.flatMap((term) => term.matchExpressions ?? [])
    .find(({ key }) => key === PD_ZONE_KEY || key === ZONE_LABEL)?.values?.[0]
}

/** Nobody may write to it: several VMs can have its disk. */
export function isReadOnly({ spec }: { spec: PersistentVolumeSpec }): boolean {
  const { accessModes = [], csi, gcePersistentDisk } = spec
  const isOnlyRead = accessModes.length > 0 && accessModes.every((mode) => mode === 'ReadOnlyMany')
  return isOnlyRead || (csi?.readOnly ?? gcePersistentDisk?.readOnly ?? false)
}

/** Only one VM at a time may have it, because it may be written there. */
export function isExclusive({ spec }: PersistentVolume): boolean {
  return !spec.accessModes?.some((mode) => mode === 'ReadOnlyMany' || mode === 'ReadWriteMany')
}

/** The attachments of persistent disks; those of other attachers are left to them. */
export function attachments(reader: Reader): readonly VolumeAttachment[] {
  return (reader.list(VOLUME_ATTACHMENTS) as readonly VolumeAttachment[]).filter(
    ({ spec }) => spec.attacher === PD_DRIVER,
  )
}

export function attachmentsOf(reader: Reader, volume: string): VolumeAttachment[] {
  return attachments(reader).filter(({ spec }) => spec.source.persistentVolumeName === volume)
}

/** How node.status.volumesInUse names a volume: `kubernetes.io/csi/<driver>^<handle>`. */
export function uniqueName(volume: PersistentVolume): string {
  const { csi, gcePersistentDisk } = volume.spec
  if (csi) return `kubernetes.io/csi/${csi.driver}^${csi.volumeHandle}`
  return `kubernetes.io/gce-pd/${gcePersistentDisk?.pdName ?? volume.metadata.name}`
}

/** True when nothing can write through this attachment any more; nobody need wait for its agent then. */
export function isLetGo(reader: Reader, { spec, status }: VolumeAttachment): boolean {
  const instanceId = status?.attachmentMetadata?.[ATTACHED_INSTANCE]
  return isFenced(reader, { node: spec.nodeName, instanceId })
}

/** Volumes that stand for a disk which goes with them. One to retain is its owner's business. */
export function ownDisks(reader: Reader): PersistentVolume[] {
  return (reader.list(VOLUMES) as readonly PersistentVolume[]).filter(
    ({ metadata, spec }) =>
      metadata.finalizers?.includes(PROVISIONER_FINALIZER) &&
      spec.persistentVolumeReclaimPolicy === 'Delete',
  )
}
