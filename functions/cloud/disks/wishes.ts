// What a cluster wants of persistent disks, read from its objects. Pure.

import type { NodePool } from '#shared/api/node-pool.ts'
import type { Node } from '#shared/api/node.ts'
import {
  CLAIMS,
  classOf,
  requestOf,
  type PersistentVolumeClaim,
} from '#shared/api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '#shared/api/persistent-volume.ts'
import { STORAGE_CLASSES, isDiskClass, type StorageClass } from '#shared/api/storage-class.ts'
import { ATTACHER_FINALIZER, type VolumeAttachment } from '#shared/api/volume-attachment.ts'
import {
  PD_DRIVER,
  PD_ZONE_KEY,
  PROVISIONED_BY,
  PROVISIONER_FINALIZER,
  PV_PROTECTION,
  SELECTED_NODE,
  STORAGE_PROVISIONER,
  ZONE_LABEL,
} from '#shared/api/volume-spec.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { DiskSpec } from '#shared/ports/disks.ts'
import { compareQuantities, wholeValue } from '#shared/quantity.ts'
import { draftMeta } from '#shared/reconcile/draft.ts'
import {
  attachments,
  attachmentsOf,
  claimOfVolume,
  diskOf,
  isExclusive,
  isLetGo,
  ownDisks,
  uniqueName,
  volumeNamed,
} from '#shared/reconcile/volumes/relations.ts'
import type { Reader } from '#shared/view/reader.ts'
import { isLeaving as isClusterLeaving } from '../../clusters/teardown.ts'
import type { ClusterFacts } from '../config.ts'
import { CLUSTER_LABEL, NODE_POOLS } from '../wishes.ts'

const GIB = 2 ** 30
const DEFAULT_TYPE = 'pd-balanced'
const PLUGIN_TYPE = 'pd-standard'
const DEFAULT_FILE_SYSTEM = 'ext4'

/** Disks that are to be made: claims that name us and have no volume yet. */
function claimsToProvision(reader: Reader): PersistentVolumeClaim[] {
  return (reader.list(CLAIMS) as readonly PersistentVolumeClaim[]).filter((claim) => {
    const { metadata, spec } = claim
    const isAsked = metadata.annotations?.[STORAGE_PROVISIONER] === PD_DRIVER
    return isAsked && !spec.volumeName && !metadata.deletionTimestamp
  })
}

/** `pvc-<uid of the claim>`, as the external provisioner names volumes and disks. */
export function volumeNameFor({ metadata }: PersistentVolumeClaim): string {
  return `pvc-${metadata.uid}`
}

/**
 * The volume as it will be, written down before its disk is made; a text says why there can be none.
 * `zone` is the selected node's, or one in which the cluster has VMs.
 */
export function volumeFor(
  reader: Reader,
  claim: PersistentVolumeClaim,
  facts: ClusterFacts,
  project: string,
): PersistentVolume | string {
  const className = classOf(claim)
  const storageClass = reader.get(keyOf(STORAGE_CLASSES, '', className)) as StorageClass | undefined
  if (!storageClass) return `storageclass.storage.k8s.io "${className}" not found`
  if (!isDiskClass(storageClass)) return `storage class "${className}" is not of ${PD_DRIVER}`
  const unsupported = claim.spec.accessModes?.find(
    (mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany',
  )
  if (unsupported) {
    return `specified access mode ${unsupported} is not supported for a new disk: use ReadWriteOnce or ReadWriteOncePod`
  }
  if (claim.spec.dataSource ?? claim.spec.dataSourceRef) return 'dataSource is not supported'
  if (claim.spec.volumeMode === 'Block') return 'volumeMode Block is not supported'
  const zone = zoneFor(reader, claim, storageClass, facts)
  if (!zone) return 'no topology key found for the selected node'
  const name = volumeNameFor(claim)
  const { namespace, name: claimName, uid } = claim.metadata
  const size = Math.max(1, Math.ceil(wholeValue(requestOf(claim)) / GIB))
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: draftMeta({
      name,
      finalizers: [PV_PROTECTION, PROVISIONER_FINALIZER],
      annotations: {
        [PROVISIONED_BY]: PD_DRIVER,
        'volume.kubernetes.io/provisioner-deletion-secret-name': '',
        'volume.kubernetes.io/provisioner-deletion-secret-namespace': '',
      },
    }),
    spec: {
      capacity: { storage: `${size}Gi` },
      accessModes: claim.spec.accessModes ?? ['ReadWriteOnce'],
      claimRef: {
        kind: 'PersistentVolumeClaim',
        ...(namespace ? { namespace } : {}),
        name: claimName,
        uid,
        apiVersion: 'v1',
      },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: className,
      ...(storageClass.mountOptions ? { mountOptions: storageClass.mountOptions } : {}),
      volumeMode: 'Filesystem',
      csi: {
        driver: PD_DRIVER,
        volumeHandle: `projects/${project}/zones/${zone}/disks/${name}`,
        fsType: storageClass.parameters?.['csi.storage.k8s.io/fstype'] ?? DEFAULT_FILE_SYSTEM,
        volumeAttributes: { 'storage.kubernetes.io/csiProvisionerIdentity': PD_DRIVER },
      },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: PD_ZONE_KEY, operator: 'In', values: [zone] }] },
          ],
        },
      },
    },
    status: { phase: 'Pending' },
  }
}

function zoneFor(
  reader: Reader,
  { metadata }: PersistentVolumeClaim,
  storageClass: StorageClass,
  { region }: ClusterFacts,
): string | undefined {
  const selected = metadata.annotations?.[SELECTED_NODE]
  if (selected) {
    const node = reader.get(keyOf('nodes', '', selected)) as Node | undefined
    return node?.metadata.labels?.[ZONE_LABEL] ?? node?.metadata.labels?.[PD_ZONE_KEY]
  }
  const allowed = storageClass.allowedTopologies
    ?.flatMap(({ matchLabelExpressions = [] }) => matchLabelExpressions)
    .find(({ key }) => key === PD_ZONE_KEY || key === ZONE_LABEL)?.values
  const zones = (reader.list(NODE_POOLS) as readonly NodePool[]).map(({ spec }) => spec.zone)
  const usable = zones.find((zone) => !allowed || allowed.includes(zone))
  return usable ?? allowed?.[0] ?? `${region}-b`
}

/** Volumes whose disk is still to be made. */
export function volumesToMake(reader: Reader): PersistentVolume[] {
  if (isClusterLeaving(reader)) return []
  return volumes(reader).filter(
    (volume) =>
      isProvisioned(volume) &&
      volume.status?.phase === 'Pending' &&
      !volume.metadata.deletionTimestamp &&
      claimOfVolume(reader, volume) !== undefined,
  )
}

export function diskSpec(
  reader: Reader,
  volume: PersistentVolume,
  facts: ClusterFacts,
): DiskSpec | undefined {
  const disk = diskOf(volume)
  if (!disk) return undefined
  const { claimRef, storageClassName = '', capacity } = volume.spec
  const storageClass = reader.get(keyOf(STORAGE_CLASSES, '', storageClassName)) as
    | StorageClass
    | undefined
  const isPlugin = storageClass?.provisioner !== PD_DRIVER
  return {
    ...disk,
    sizeGb: gigabytes(capacity?.['storage']),
    type: storageClass?.parameters?.['type'] ?? (isPlugin ? PLUGIN_TYPE : DEFAULT_TYPE),
    labels: diskLabels(facts),
    description: JSON.stringify({
      'kubernetes.io/created-for/pv/name': volume.metadata.name,
      'kubernetes.io/created-for/pvc/name': claimRef?.name,
      'kubernetes.io/created-for/pvc/namespace': claimRef?.namespace,
      'storage.gke.io/created-by': PD_DRIVER,
    }),
  }
}

/** Which disks of a project are this cluster's. */
export function diskLabels({ id }: ClusterFacts): Record<string, string> {
  return { [CLUSTER_LABEL]: id }
}

function gigabytes(quantity: string | undefined): number {
  return Math.max(1, Math.ceil(wholeValue(quantity) / GIB))
}

/** Volumes whose disk goes: nobody has a claim on them, and their policy says so. */
export function volumesToDelete(reader: Reader): PersistentVolume[] {
  // With the cluster all go; one that is still attached is tried again when its VM is gone.
  if (isClusterLeaving(reader)) return ownDisks(reader)
  return ownDisks(reader).filter(({ metadata, status }) => {
    if (attachmentsOf(reader, metadata.name).length > 0) return false
    if (metadata.deletionTimestamp) return status?.phase !== 'Bound'
    return status?.phase === 'Released'
  })
}

/** Volumes that are smaller than what their claim asks for by now. */
export function volumesToGrow(reader: Reader): { volume: PersistentVolume; sizeGb: number }[] {
  return volumes(reader).flatMap((volume) => {
    if (volume.status?.phase !== 'Bound' || !diskOf(volume)) return []
    const claim = claimOfVolume(reader, volume)
    if (!claim || compareQuantities(requestOf(claim), volume.spec.capacity?.['storage']) <= 0) {
      return []
    }
    return [{ volume, sizeGb: gigabytes(requestOf(claim)) }]
  })
}

/** Disks to take off a VM: nobody there wants it, and nothing can write to it any more. */
export function attachmentsToEnd(reader: Reader): VolumeAttachment[] {
  return attachments(reader).filter(
    (attachment) =>
      attachment.metadata.deletionTimestamp !== undefined &&
      attachment.metadata.finalizers?.includes(ATTACHER_FINALIZER) &&
      (isLetGo(reader, attachment) || !isInUse(reader, attachment)),
  )
}

/** Its agent has it mounted, or is about to. */
function isInUse(reader: Reader, { spec }: VolumeAttachment): boolean {
  const node = reader.get(keyOf('nodes', '', spec.nodeName)) as Node | undefined
  const volume = volumeNamed(reader, spec.source.persistentVolumeName ?? '')
  if (!volume) return (node?.status?.volumesInUse?.length ?? 0) > 0
  return node?.status?.volumesInUse?.includes(uniqueName(volume)) ?? false
}

/** Disks to attach; one that is exclusive only when no other attachment of it is left. */
export function attachmentsToMake(
  reader: Reader,
  ended: ReadonlySet<string>,
): { attachment: VolumeAttachment; volume: PersistentVolume }[] {
  return attachments(reader).flatMap((attachment) => {
    const { spec, status, metadata } = attachment
    if (metadata.deletionTimestamp || status?.attached) return []
    const volume = volumeNamed(reader, spec.source.persistentVolumeName ?? '')
    if (!volume || !diskOf(volume) || !isRunning(reader, spec.nodeName)) return []
    const others = attachmentsOf(reader, volume.metadata.name).filter(
      (other) => other.metadata.uid !== metadata.uid && !ended.has(other.metadata.uid),
    )
    return isExclusive(volume) && others.length > 0 ? [] : [{ attachment, volume }]
  })
}

function isRunning(reader: Reader, vm: string): boolean {
  return (reader.list(NODE_POOLS) as readonly NodePool[]).some(({ status }) =>
    status?.instances?.some(({ name, status: word }) => name === vm && word === 'RUNNING'),
  )
}

function volumes(reader: Reader): readonly PersistentVolume[] {
  return reader.list(VOLUMES) as readonly PersistentVolume[]
}

function isProvisioned({ metadata }: PersistentVolume): boolean {
  return metadata.annotations?.[PROVISIONED_BY] === PD_DRIVER
}

/** The claims that ask for a disk. */
export function claimKeys(reader: Reader): Key[] {
  return claimsToProvision(reader).map(({ metadata }) =>
    keyOf(CLAIMS, metadata.namespace, metadata.name),
  )
}
