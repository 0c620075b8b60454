// Brings claims and volumes together: Kubernetes' persistent volume controller. A claim gets a volume
// that is there, or says what kind of disk is to be made for it (by the cloud function, which then writes
// the volume down); a volume whose claim is gone is released.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim

import type { KubeObject } from '../../api/meta.ts'
import { CLAIMS, classOf, type PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import {
  VOLUMES,
  type PersistentVolume,
  type PersistentVolumePhase,
} from '../../api/persistent-volume.ts'
import { STORAGE_CLASSES, defaultClass, type StorageClass } from '../../api/storage-class.ts'
import {
  BETA_CLASS,
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  PD_DRIVER,
  PROVISIONED_BY,
  SELECTED_NODE,
  STORAGE_PROVISIONER,
} from '../../api/volume-spec.ts'
import { keyOf, splitKey, type Key } from '../../key.ts'
import { formatTime } from '../../time.ts'
import type { Reader } from '../../view/reader.ts'
import { withMeta } from '../draft.ts'
import { keyOfObject } from '../kinds.ts'
import {
  IN_SYNC,
  type EventDraft,
  type ObservedChange,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '../outcome.ts'
import { freeVolume, isKeptFor, keptVolume, mismatch } from './match.ts'
import { claimOfVolume, diskOf, volumeKey, volumeNamed } from './relations.ts'

const SOURCE = 'persistentvolume-controller'
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

export const volumeBinder: Reconciler = { name: 'volume-binder', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource } = splitKey(key)
  switch (resource) {
    case CLAIMS: {
      const named = [before, after].flatMap(
        (claim) => (claim as PersistentVolumeClaim | undefined)?.spec.volumeName ?? [],
      )
      // One that goes may be waited for by a volume that it never got.
      const kept = after ? [] : volumesFor(reader, before as PersistentVolumeClaim)
      return [...(after ? [key] : []), ...new Set([...named.map(volumeKey), ...kept])]
    }
    case VOLUMES:
      return [...(after ? [key] : []), ...claimsAbout(reader, before, after)]
    case STORAGE_CLASSES:
      return (reader.list(CLAIMS) as readonly PersistentVolumeClaim[])
        .filter(({ spec }) => !spec.volumeName)
        .map(keyOfObject)
    default:
      return []
  }
}

/** The volumes that are kept for a claim. */
function volumesFor(reader: Reader, { metadata }: PersistentVolumeClaim): Key[] {
  return (reader.list(VOLUMES) as readonly PersistentVolume[])
    .filter(({ spec: { claimRef } }) => claimRef?.uid === metadata.uid)
    .map(keyOfObject)
}

/** The claim that a volume is for, and, when it is there to be had, those that wait for one. */
function claimsAbout(
  reader: Reader,
  before: KubeObject | undefined,
  after: KubeObject | undefined,
): Key[] {
  const volume = after as PersistentVolume | undefined
  const refs = [before, after].flatMap(
    (each) => (each as PersistentVolume | undefined)?.spec.claimRef ?? [],
  )
  const own = refs.map(({ namespace, name = '' }) => keyOf(CLAIMS, namespace, name))
  const isFree = volume !== undefined && !volume.spec.claimRef
  const name = (volume ?? before)?.metadata.name
  const waiting = (reader.list(CLAIMS) as readonly PersistentVolumeClaim[])
    .filter(({ spec }) => (isFree && !spec.volumeName) || spec.volumeName === name)
    .map(keyOfObject)
  return [...new Set([...own, ...waiting])]
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  const object = reader.get(key)
  if (!object) return IN_SYNC
  return splitKey(key).resource === CLAIMS
    ? reconcileClaim(reader, object as PersistentVolumeClaim, now)
    : reconcileVolume(reader, object as PersistentVolume, now)
}

function reconcileClaim(reader: Reader, claim: PersistentVolumeClaim, now: number): Outcome {
  if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return keepBound(reader, claim)
  if (claim.metadata.deletionTimestamp) return IN_SYNC
  return claim.spec.volumeName
    ? bindToNamed(reader, claim, claim.spec.volumeName, now)
    : findVolume(reader, claim, now)
}

/** A claim that was bound stays so for good, or it is lost. */
function keepBound(reader: Reader, claim: PersistentVolumeClaim): Outcome {
  const volume = volumeNamed(reader, claim.spec.volumeName ?? '')
  if (!volume) {
    const why = 'Bound claim has lost its PersistentVolume. Data on the volume is lost!'
    return lost(claim, 'ClaimLost', why)
  }
  if (volume.spec.claimRef && !isKeptFor(volume, claim)) {
    const why = 'Two claims are bound to the same volume, this one is bound incorrectly'
    return lost(claim, 'ClaimMisbound', why)
  }
  return IN_SYNC
}

function lost(claim: PersistentVolumeClaim, reason: string, message: string): Outcome {
  if (claim.status?.phase === 'Lost') return IN_SYNC
  const { capacity: _, accessModes: __, ...status } = claim.status ?? {}
  const object: PersistentVolumeClaim = { ...claim, status: { ...status, phase: 'Lost' } }
  return { writes: [{ do: 'put', object }], events: [say(claim, 'Warning', reason, message)] }
}

/** It names a volume, or has been given one and the pass that did so was cut short. */
function bindToNamed(
  reader: Reader,
  claim: PersistentVolumeClaim,
  name: string,
  now: number,
): Outcome {
  const volume = volumeNamed(reader, name)
  if (!volume || volume.status?.phase === 'Pending') return IN_SYNC
  if (volume.spec.claimRef && !isKeptFor(volume, claim)) {
    const message = `volume "${name}" already bound to a different claim.`
    return { writes: [], events: [say(claim, 'Warning', 'FailedBinding', message)] }
  }
  const why = mismatch(claim, volume)
  if (why) {
    const message = `Cannot bind to requested volume "${name}": ${why}`
    return { writes: [], events: [say(claim, 'Warning', 'VolumeMismatch', message)] }
  }
  return { writes: bound(claim, volume, now) }
}

function findVolume(reader: Reader, claim: PersistentVolumeClaim, now: number): Outcome {
  if (claim.spec.storageClassName === undefined && !claim.metadata.annotations?.[BETA_CLASS]) {
    const name = defaultClass(reader.list(STORAGE_CLASSES))
    if (name !== undefined) {
      const spec = { ...claim.spec, storageClassName: name }
      const object: PersistentVolumeClaim = { ...claim, spec }
      return { writes: [{ do: 'put', object }] }
    }
  }
  const kept = keptVolume(reader, claim)
  if (kept) return { writes: bound(claim, kept, now) }
  const className = classOf(claim)
  const storageClass = reader.get(keyOf(STORAGE_CLASSES, '', className)) as StorageClass | undefined
  const waitsForPod =
    storageClass?.volumeBindingMode === 'WaitForFirstConsumer' &&
    !claim.metadata.annotations?.[SELECTED_NODE]
  if (waitsForPod) {
    const message = 'waiting for first consumer to be created before binding'
    return { writes: [], events: [say(claim, 'Normal', 'WaitForFirstConsumer', message)] }
  }
  const free = freeVolume(reader, claim)
  if (free) return { writes: bound(claim, free, now) }
  return className ? provision(claim, className, storageClass) : noVolume(claim)
}

function noVolume(claim: PersistentVolumeClaim): Outcome {
  const message = 'no persistent volumes available for this claim and no storage class is set'
  return { writes: [], events: [say(claim, 'Normal', 'FailedBinding', message)] }
}

/** Says who shall make a volume. For persistent disks that is the cloud function. */
function provision(
  claim: PersistentVolumeClaim,
  className: string,
  storageClass: StorageClass | undefined,
): Outcome {
  if (!storageClass) {
    const message = `storageclass.storage.k8s.io "${className}" not found`
    return { writes: [], events: [say(claim, 'Warning', 'ProvisioningFailed', message)] }
  }
  if (storageClass.provisioner === NO_PROVISIONER) return noVolume(claim)
  // The plugin of that name has long been this driver (CSI migration).
  const isPlugin = storageClass.provisioner === 'kubernetes.io/gce-pd'
  const provisioner = isPlugin ? PD_DRIVER : storageClass.provisioner
  const annotations = {
    ...claim.metadata.annotations,
    [`volume.beta.${STORAGE_PROVISIONER.slice('volume.'.length)}`]: provisioner,
    [STORAGE_PROVISIONER]: provisioner,
  }
  const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`
  return {
    writes: [{ do: 'put', object: withMeta(claim, { annotations }) }],
    events: [say(claim, 'Normal', 'ExternalProvisioning', message)],
  }
}

/** Both sides, in one commit. */
function bound(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
  now: number,
): PlannedWrite[] {
  const { name, namespace, uid } = claim.metadata
  const wasKept = volume.spec.claimRef !== undefined
  const claimRef = { kind: 'PersistentVolumeClaim', namespace, name, uid, apiVersion: 'v1' }
  const mark = (has: boolean, annotations: Record<string, string> | undefined) =>
    has ? annotations : { ...annotations, [BOUND_BY_CONTROLLER]: 'yes' }
  const annotations = mark(wasKept, volume.metadata.annotations)
  const boundVolume = phased(
    {
      ...withMeta(volume, annotations ? { annotations } : {}),
      spec: { ...volume.spec, claimRef: wasKept ? { ...volume.spec.claimRef, uid } : claimRef },
    },
    'Bound',
    now,
  )
  const boundClaim: PersistentVolumeClaim = {
    ...withMeta(claim, {
      annotations: {
        ...mark(Boolean(claim.spec.volumeName), claim.metadata.annotations),
        [BIND_COMPLETED]: 'yes',
      },
    }),
    spec: { ...claim.spec, volumeName: volume.metadata.name },
    status: {
      ...claim.status,
      phase: 'Bound',
      ...(volume.spec.accessModes ? { accessModes: volume.spec.accessModes } : {}),
      ...(volume.spec.capacity ? { capacity: volume.spec.capacity } : {}),
    },
  }
  return [
    { do: 'put', object: boundVolume },
    { do: 'put', object: boundClaim },
  ]
}

function reconcileVolume(reader: Reader, volume: PersistentVolume, now: number): Outcome {
  const { claimRef } = volume.spec
  const phase = volume.status?.phase
  // Its disk is being made. Once its claim is gone it is the cloud function's to take back.
  const isBeingMade = phase === 'Pending' && volume.metadata.annotations?.[PROVISIONED_BY]
  if (!claimRef?.uid) return isBeingMade ? IN_SYNC : toPhase(volume, 'Available', now)
  const claim = claimOfVolume(reader, volume)
  if (!claim || isTakenElsewhere(claim, volume)) return release(volume, now)
  if (isBeingMade) return IN_SYNC
  if (claim.spec.volumeName === volume.metadata.name) {
    const isDone = claim.metadata.annotations?.[BIND_COMPLETED] !== undefined
    return isDone ? toPhase(volume, 'Bound', now) : IN_SYNC
  }
  return phase === 'Pending' ? toPhase(volume, 'Available', now) : IN_SYNC
}

function isTakenElsewhere(claim: PersistentVolumeClaim, { metadata }: PersistentVolume): boolean {
  return Boolean(claim.spec.volumeName) && claim.spec.volumeName !== metadata.name
}

/** Its claim is gone: what the reclaim policy says is done by the cloud function for disks. */
function release(volume: PersistentVolume, now: number): Outcome {
  const policy = volume.spec.persistentVolumeReclaimPolicy
  const { name } = volume.metadata
  if (policy === 'Retain' || diskOf(volume)) {
    return volume.status?.phase === 'Failed' ? IN_SYNC : toPhase(volume, 'Released', now)
  }
  const what = policy === 'Recycle' ? 'recycl' : 'delet'
  const message = `error getting ${what}er volume plugin for volume "${name}": no ${what}able volume plugin matched`
  const outcome = toPhase(volume, 'Failed', now, message)
  const reason = policy === 'Recycle' ? 'VolumeFailedRecycle' : 'VolumeFailedDelete'
  return { ...outcome, events: [say(volume, 'Warning', reason, message)] }
}

function toPhase(
  volume: PersistentVolume,
  phase: PersistentVolumePhase,
  now: number,
  message?: string,
): Outcome {
  if (volume.status?.phase === phase) return IN_SYNC
  return { writes: [{ do: 'put', object: phased(volume, phase, now, message) }] }
}

/** The volume in another phase. */
export function phased(
  volume: PersistentVolume,
  phase: PersistentVolumePhase,
  now: number,
  message?: string,
): PersistentVolume {
  const isSame = volume.status?.phase === phase
  const since = isSame ? volume.status?.lastPhaseTransitionTime : formatTime(now)
  return {
    ...volume,
    status: {
      phase,
      ...(since ? { lastPhaseTransitionTime: since } : {}),
      ...(message ? { message } : {}),
    },
  }
}

function say(
  about: KubeObject,
  type: EventDraft['type'],
  reason: string,
  message: string,
): EventDraft {
  return { about, type, reason, message, source: SOURCE }
}
