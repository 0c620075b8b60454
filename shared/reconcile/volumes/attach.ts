// Which disks are attached where: Kubernetes' attach-detach controller. A disk is wanted at a node as long
// as a pod there uses it; each wish is a VolumeAttachment, which the cloud function carries out. A disk that may be
// written is never wanted at a second node while the first could still write: its VM is off, or its agent
// has said that the volume is unmounted.
// https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/

import type { Node } from '../../api/node.ts'
import type { NodePool } from '../../api/node-pool.ts'
import { CLAIMS, type PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '../../api/persistent-volume.ts'
import type { Pod } from '../../api/pod.ts'
import {
  ATTACHER_FINALIZER,
  VOLUME_ATTACHMENTS,
  attachmentName,
  type VolumeAttachment,
} from '../../api/volume-attachment.ts'
import { PD_DRIVER } from '../../api/volume-spec.ts'
import { isEqual } from '../../equal.ts'
import { keyOf, splitKey, type Key } from '../../key.ts'
import { formatTime } from '../../time.ts'
import type { Reader } from '../../view/reader.ts'
import { draftMeta, withMeta } from '../draft.ts'
import {
  IN_SYNC,
  type EventDraft,
  type ObservedChange,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '../outcome.ts'
import { NODE_POOLS } from '../vm-state.ts'
import {
  attachments,
  attachmentsOf,
  claimNamesOf,
  claimOf,
  claimOfVolume,
  diskOf,
  isExclusive,
  isLetGo,
  podsUsing,
  volumeKey,
} from './relations.ts'

const SOURCE = 'attachdetach-controller'

export const volumeAttacher: Reconciler = { name: 'volume-attacher', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  switch (splitKey(key).resource) {
    case VOLUMES:
      return [key]
    case CLAIMS: {
      const name = ((after ?? before) as PersistentVolumeClaim).spec.volumeName
      return name ? [volumeKey(name)] : []
    }
    case 'pods':
      return volumesOfPod(reader, before as Pod | undefined, after as Pod | undefined)
    case VOLUME_ATTACHMENTS:
      return volumeOf((after ?? before) as VolumeAttachment)
    case 'nodes':
      return before && after && isSameNode(before as Node, after as Node) ? [] : attached(reader)
    case NODE_POOLS: {
      const of = (pool: typeof before): unknown => (pool as NodePool | undefined)?.status?.instances
      return isEqual(of(before), of(after)) ? [] : attached(reader)
    }
    default:
      return []
  }
}

/** A pod's status is nobody's business here, but that it has ended. */
function volumesOfPod(reader: Reader, before: Pod | undefined, after: Pod | undefined): Key[] {
  const pod = after ?? before
  if (!pod?.spec.volumes) return []
  const isSame =
    before?.spec.nodeName === after?.spec.nodeName && before?.status?.phase === after?.status?.phase
  if (before && after && isSame) return []
  return claimNamesOf(pod).flatMap((name) => {
    const volume = claimOf(reader, pod.metadata.namespace, name)?.spec.volumeName
    return volume ? [volumeKey(volume)] : []
  })
}

function volumeOf({ spec }: VolumeAttachment): Key[] {
  const name = spec.source.persistentVolumeName
  return name ? [volumeKey(name)] : []
}

function isSameNode(before: Node, after: Node): boolean {
  return before.metadata.uid === after.metadata.uid
}

function attached(reader: Reader): Key[] {
  return [...new Set(attachments(reader).flatMap(volumeOf))]
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  const { name } = splitKey(key)
  const present = attachmentsOf(reader, name)
  const volume = reader.get(key) as PersistentVolume | undefined
  const users = volume && diskOf(volume) ? usersByNode(reader, volume) : new Map<string, Pod[]>()
  const writes: PlannedWrite[] = []
  const events: EventDraft[] = []
  for (const attachment of present) {
    const isWanted = users.has(attachment.spec.nodeName) && !isStale(reader, attachment)
    if (!isWanted) writes.push(...detach(attachment, now))
  }
  if (!volume) return writes.length > 0 ? { writes } : IN_SYNC
  for (const [node, pods] of users) {
    // One of that name that is being detached must go first.
    if (present.some(({ spec }) => spec.nodeName === node)) continue
    const holder = isExclusive(volume) ? holderBeside(reader, present, users, node) : undefined
    if (holder) events.push(...pods.map((pod) => multiAttach(volume, pod, holder)))
    else {
      const attachment = newAttachment(volume, node)
      writes.push({ do: 'put', object: attachment })
      // The next node of this pass must see it.
      present.push(attachment)
    }
  }
  return { writes, events }
}

/** Attached to a VM that is no more: the VM of that name now must get it anew. */
function isStale(reader: Reader, attachment: VolumeAttachment): boolean {
  return attachment.status?.attached === true && isLetGo(reader, attachment)
}

/** The pods on nodes that use the volume, by node. Those that are on their way out still do. */
function usersByNode(reader: Reader, volume: PersistentVolume): Map<string, Pod[]> {
  const users = new Map<string, Pod[]>()
  const claim = claimOfVolume(reader, volume)
  if (!claim || claim.spec.volumeName !== volume.metadata.name) return users
  for (const pod of podsUsing(reader, claim.metadata.namespace, claim.metadata.name)) {
    const node = pod.spec.nodeName
    if (node && reader.get(keyOf('nodes', '', node))) {
      users.set(node, [...(users.get(node) ?? []), pod])
    }
  }
  return users
}

/** The node that may still write: attached there, or about to be, and not fenced off. */
function holderBeside(
  reader: Reader,
  present: readonly VolumeAttachment[],
  users: ReadonlyMap<string, Pod[]>,
  node: string,
): { node: string; pods: readonly Pod[] } | undefined {
  const holder = present.find(
    (each) => each.spec.nodeName !== node && !(isLetGo(reader, each) && isUnwanted(each, users)),
  )
  return holder && { node: holder.spec.nodeName, pods: users.get(holder.spec.nodeName) ?? [] }
}

/** Nobody there wants it any more. */
function isUnwanted({ spec }: VolumeAttachment, users: ReadonlyMap<string, Pod[]>): boolean {
  return !users.has(spec.nodeName)
}

/** Marked; the cloud function detaches and then takes the record away. */
function detach(attachment: VolumeAttachment, now: number): PlannedWrite[] {
  if (attachment.metadata.deletionTimestamp) return []
  const object = withMeta(attachment, {
    deletionTimestamp: formatTime(now),
    deletionGracePeriodSeconds: 0,
  })
  return [{ do: 'put', object }]
}

function newAttachment(volume: PersistentVolume, node: string): VolumeAttachment {
  const { name } = volume.metadata
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: draftMeta({ name: attachmentName(name, node), finalizers: [ATTACHER_FINALIZER] }),
    spec: { attacher: PD_DRIVER, nodeName: node, source: { persistentVolumeName: name } },
    status: { attached: false },
  }
}

function multiAttach(
  volume: PersistentVolume,
  pod: Pod,
  holder: { pods: readonly Pod[] },
): EventDraft {
  const others = holder.pods.map(({ metadata }) => metadata.name).join(', ')
  const why = others
    ? `Volume is already used by pod(s) ${others}`
    : "Volume is already exclusively attached to one node and can't be attached to another"
  const message = `Multi-Attach error for volume "${volume.metadata.name}" ${why}`
  return { about: pod, type: 'Warning', reason: 'FailedAttachVolume', message, source: SOURCE }
}
