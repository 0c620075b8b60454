// What is written down about disks: before anything is made (intents: a crash leaves no disk that nobody
// knows of), and what came of it (results). Pure.

import { withCondition } from '#shared/api/conditions.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { CLAIMS, type PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '#shared/api/persistent-volume.ts'
import {
  ATTACHED_INSTANCE,
  ATTACHER_FINALIZER,
  type VolumeAttachment,
} from '#shared/api/volume-attachment.ts'
import { PD_DRIVER, PROVISIONER_FINALIZER, PV_PROTECTION } from '#shared/api/volume-spec.ts'
import { keyOf, splitKey, type Key } from '#shared/key.ts'
import { withMeta } from '#shared/reconcile/draft.ts'
import {
  IN_SYNC,
  type EventDraft,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '#shared/reconcile/outcome.ts'
import { phased } from '#shared/reconcile/volumes/bind.ts'
import { without } from '#shared/reconcile/volumes/protect.ts'
import { claimOfVolume, podsUsing, volumeNamed } from '#shared/reconcile/volumes/relations.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { ClusterFacts } from '../config.ts'
import type { DiskResult, DiskResults } from './drive.ts'
import { volumeFor, volumeNameFor } from './wishes.ts'

const PROVISIONER = PD_DRIVER
const ATTACHER = 'attachdetach-controller'
const RESIZER = `external-resizer ${PD_DRIVER}`

/** Writes a volume down for each claim that asks for a disk. */
export function diskIntents(facts: ClusterFacts, project: string): Reconciler {
  return {
    name: 'disk-intents',
    wakes: () => [],
    reconcile(reader, key) {
      if (splitKey(key).resource !== CLAIMS) return IN_SYNC
      const claim = reader.get(key) as PersistentVolumeClaim | undefined
      if (!claim || volumeNamed(reader, volumeNameFor(claim))) return IN_SYNC
      const volume = volumeFor(reader, claim, facts, project)
      if (typeof volume === 'string') {
        return { writes: [], events: [provisioningFailed(claim, volume)] }
      }
      const { namespace, name } = claim.metadata
      const message = `External provisioner is provisioning volume for claim "${namespace}/${name}"`
      return {
        writes: [{ do: 'put', object: volume }],
        events: [say(claim, 'Normal', 'Provisioning', message, PROVISIONER)],
      }
    },
  }
}

function provisioningFailed(claim: PersistentVolumeClaim, why: string): EventDraft {
  const message = `failed to provision volume with StorageClass "${claim.spec.storageClassName ?? ''}": ${why}`
  return say(claim, 'Warning', 'ProvisioningFailed', message, PROVISIONER)
}

/** Turns what a pass did into the objects' state. */
export function diskOutcomes(results: DiskResults): Reconciler {
  return {
    name: 'disk-results',
    wakes: () => [],
    reconcile(reader, key, now) {
      const object = reader.get(key)
      const result = results.get(object?.metadata.uid ?? '')
      if (!object || !result) return IN_SYNC
      return splitKey(key).resource === VOLUMES
        ? volumeOutcome(reader, object as PersistentVolume, result, now)
        : attachmentOutcome(reader, object as VolumeAttachment, result, now)
    },
  }
}

/** The keys that results are about. */
export function diskResultKeys(reader: Reader, results: DiskResults): Key[] {
  if (results.size === 0) return []
  const of = (resource: string): Key[] =>
    reader
      .list(resource)
      .filter(({ metadata }) => results.has(metadata.uid))
      .map(({ metadata }) => keyOf(resource, '', metadata.name))
  return [...of(VOLUMES), ...of('volumeattachments.storage.k8s.io')]
}

function volumeOutcome(
  reader: Reader,
  volume: PersistentVolume,
  result: DiskResult,
  now: number,
): Outcome {
  const claim = claimOfVolume(reader, volume)
  if (result.is === 'made') {
    return {
      writes: [{ do: 'put', object: phased(volume, 'Available', now) }],
      events: claim ? [provisioned(claim, volume)] : [],
    }
  }
  if (result.is === 'grown') return grown(claim, volume, result.sizeGb, now)
  if (result.is === 'deleted') return { writes: gone(volume, now) }
  return result.is === 'failed' ? volumeFailure(claim, volume, result.message) : IN_SYNC
}

function provisioned(claim: PersistentVolumeClaim, { metadata }: PersistentVolume): EventDraft {
  const message = `Successfully provisioned volume ${metadata.name}`
  return say(claim, 'Normal', 'ProvisioningSucceeded', message, PROVISIONER)
}

function gone(volume: PersistentVolume, now: number): PlannedWrite[] {
  const deletionTimestamp = volume.metadata.deletionTimestamp ?? formatTime(now)
  return [without(withMeta(volume, { deletionTimestamp }), PROVISIONER_FINALIZER, PV_PROTECTION)]
}

/** The disk is larger; its file system grows when a node next has it mounted. */
function grown(
  claim: PersistentVolumeClaim | undefined,
  volume: PersistentVolume,
  sizeGb: number,
  now: number,
): Outcome {
  const storage = `${sizeGb}Gi`
  const larger: PersistentVolume = {
    ...volume,
    spec: { ...volume.spec, capacity: { ...volume.spec.capacity, storage } },
  }
  const writes: PlannedWrite[] = [{ do: 'put', object: larger }]
  if (!claim) return { writes }
  const message =
    'Waiting for user to (re-)start a pod to finish file system resize of volume on node.'
  const conditions = withCondition(
    claim.status?.conditions,
    { type: 'FileSystemResizePending', status: 'True', lastProbeTime: null, message },
    now,
  )
  const object: PersistentVolumeClaim = {
    ...claim,
    status: {
      ...claim.status,
      conditions,
      allocatedResources: { storage },
      allocatedResourceStatuses: { storage: 'NodeResizePending' },
    },
  }
  writes.push({ do: 'put', object })
  const begun = `External resizer is resizing volume ${volume.metadata.name}`
  const next = 'Require file system resize of volume on node'
  return {
    writes,
    events: [
      say(claim, 'Normal', 'Resizing', begun, RESIZER),
      say(claim, 'Normal', 'FileSystemResizeRequired', next, RESIZER),
    ],
  }
}

function volumeFailure(
  claim: PersistentVolumeClaim | undefined,
  volume: PersistentVolume,
  message: string,
): Outcome {
  const phase = volume.status?.phase
  if (phase === 'Pending' && claim) {
    return { writes: [], events: [provisioningFailed(claim, message)] }
  }
  if (phase === 'Bound' && claim) {
    const name = volume.metadata.name
    const what = `resize volume "${name}" by resizer "${PD_DRIVER}" failed: ${message}`
    return { writes: [], events: [say(claim, 'Warning', 'VolumeResizeFailed', what, RESIZER)] }
  }
  const event = say(volume, 'Warning', 'VolumeFailedDelete', message, PROVISIONER)
  return { writes: [], events: [event] }
}

function attachmentOutcome(
  reader: Reader,
  attachment: VolumeAttachment,
  result: DiskResult,
  now: number,
): Outcome {
  if (result.is === 'detached') return { writes: [without(attachment, ATTACHER_FINALIZER)] }
  const name = attachment.spec.source.persistentVolumeName ?? ''
  if (result.is === 'attached') {
    const object: VolumeAttachment = {
      ...attachment,
      status: { attached: true, attachmentMetadata: { [ATTACHED_INSTANCE]: result.vmId } },
    }
    const message = `AttachVolume.Attach succeeded for volume "${name}" `
    const events = usersOn(reader, attachment).map((pod) =>
      say(pod, 'Normal', 'SuccessfulAttachVolume', message, ATTACHER),
    )
    return { writes: [{ do: 'put', object }], events }
  }
  if (result.is !== 'failed') return IN_SYNC
  return attachmentFailure(reader, attachment, result.message, now)
}

function attachmentFailure(
  reader: Reader,
  attachment: VolumeAttachment,
  message: string,
  now: number,
): Outcome {
  const name = attachment.spec.source.persistentVolumeName ?? ''
  const isLeaving = attachment.metadata.deletionTimestamp !== undefined
  const field = isLeaving ? 'detachError' : 'attachError'
  const known = attachment.status?.[field]
  // The same again is no news.
  if (known?.message === message) return IN_SYNC
  const object: VolumeAttachment = {
    ...attachment,
    status: {
      attached: attachment.status?.attached ?? false,
      ...attachment.status,
      [field]: { time: formatTime(now), message },
    },
  }
  const what = isLeaving ? 'DetachVolume.Detach' : 'AttachVolume.Attach'
  const events = usersOn(reader, attachment).map((pod) =>
    say(
      pod,
      'Warning',
      'FailedAttachVolume',
      `${what} failed for volume "${name}" : ${message}`,
      ATTACHER,
    ),
  )
  return { writes: [{ do: 'put', object }], events }
}

function usersOn(reader: Reader, { spec }: VolumeAttachment): KubeObject[] {
  const volume = volumeNamed(reader, spec.source.persistentVolumeName ?? '')
  const claim = volume && claimOfVolume(reader, volume)
  if (!claim) return []
  return podsUsing(reader, claim.metadata.namespace, claim.metadata.name).filter(
    (pod) => pod.spec.nodeName === spec.nodeName && !pod.metadata.deletionTimestamp,
  )
}

function say(
  about: KubeObject,
  type: EventDraft['type'],
  reason: string,
  message: string,
  source: string,
): EventDraft {
  return { about, type, reason, message, source }
}
