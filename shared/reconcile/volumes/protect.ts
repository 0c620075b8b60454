// Holds back what is in use: a claim that is deleted stays until no pod uses it, a volume until it is
// bound to no claim. And makes the claims of a pod's ephemeral volumes. As Kubernetes' controllers
// pvc-protection, pv-protection and ephemeral-volume.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection

import type { KubeObject } from '../../api/meta.ts'
import { controllerOf } from '../../api/owner.ts'
import { CLAIMS, type PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '../../api/persistent-volume.ts'
import { isPodTerminal } from '../../api/pod-conditions.ts'
import type { Pod, Volume } from '../../api/pod.ts'
import { PROVISIONER_FINALIZER, PVC_PROTECTION, PV_PROTECTION } from '../../api/volume-spec.ts'
import { splitKey, type Key } from '../../key.ts'
import type { Reader } from '../../view/reader.ts'
import { draftMeta, withMeta } from '../draft.ts'
import { keyOfObject } from '../kinds.ts'
import {
  IN_SYNC,
  type ObservedChange,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '../outcome.ts'
import { claimKey, claimNamesOf, claimOf, podsUsing } from './relations.ts'

export const volumeProtection: Reconciler = { name: 'volume-protection', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource } = splitKey(key)
  if (resource === CLAIMS || resource === VOLUMES) {
    return after?.metadata.deletionTimestamp ? [key] : []
  }
  if (resource !== 'pods') return []
  const pod = (after ?? before) as Pod
  if (!pod.spec.volumes) return []
  // Only a pod that goes, or has ended, lets go of something.
  const hasLeft = !after || isPodTerminal(after as Pod)
  const left = hasLeft ? claimNamesOf(pod) : []
  const leaving = left
    .map((name) => claimKey(pod.metadata.namespace, name))
    .filter((claim) => reader.get(claim)?.metadata.deletionTimestamp)
  const isNew = after !== undefined && pod.spec.volumes.some(({ ephemeral }) => ephemeral)
  return isNew ? [...leaving, key] : leaving
}

function reconcile(reader: Reader, key: Key): Outcome {
  const object = reader.get(key)
  if (!object) return IN_SYNC
  switch (splitKey(key).resource) {
    case CLAIMS:
      return { writes: letClaimGo(reader, object as PersistentVolumeClaim) }
    case VOLUMES:
      return { writes: letVolumeGo(object as PersistentVolume) }
    default:
      return ephemeralClaims(reader, object as Pod)
  }
}

function letClaimGo(reader: Reader, claim: PersistentVolumeClaim): PlannedWrite[] {
  const { deletionTimestamp, namespace, name } = claim.metadata
  if (!deletionTimestamp || !claim.metadata.finalizers?.includes(PVC_PROTECTION)) return []
  const users = podsUsing(reader, namespace, name).filter(({ spec }) => spec.nodeName)
  return users.length > 0 ? [] : [without(claim, PVC_PROTECTION)]
}

function letVolumeGo(volume: PersistentVolume): PlannedWrite[] {
  const { finalizers = [], deletionTimestamp } = volume.metadata
  if (!deletionTimestamp || volume.status?.phase === 'Bound') return []
  const isKept = volume.spec.persistentVolumeReclaimPolicy !== 'Delete'
  // Of a disk that goes too, the cloud function says when that has happened.
  const done = [PV_PROTECTION, ...(isKept ? [PROVISIONER_FINALIZER] : [])]
  if (!finalizers.some((each) => done.includes(each))) return []
  return [without(volume, ...done)]
}

/** Without these finalizers; removed when nothing else holds it. */
export function without(object: KubeObject, ...finalizers: string[]): PlannedWrite {
  const { finalizers: all = [], ...metadata } = object.metadata
  const left = all.filter((each) => !finalizers.includes(each))
  if (left.length > 0) return { do: 'put', object: withMeta(object, { finalizers: left }) }
  if (metadata.deletionTimestamp) return { do: 'remove', key: keyOfObject(object) }
  return { do: 'put', object: { ...object, metadata } }
}

function ephemeralClaims(reader: Reader, pod: Pod): Outcome {
  if (pod.metadata.deletionTimestamp || isPodTerminal(pod)) return IN_SYNC
  const outcome: Outcome = { writes: [], events: [] }
  for (const volume of pod.spec.volumes ?? []) {
    if (!volume.ephemeral?.volumeClaimTemplate) continue
    const name = `${pod.metadata.name}-${volume.name}`
    const present = claimOf(reader, pod.metadata.namespace, name)
    if (!present) {
      outcome.writes.push({ do: 'put', object: ephemeralClaim(pod, volume, name) })
    } else if (controllerOf(present)?.uid !== pod.metadata.uid) {
      const message = `PVC ${pod.metadata.namespace}/${name} was not created for pod ${pod.metadata.namespace}/${pod.metadata.name} (pod is not owner)`
      outcome.events?.push({
        about: pod,
        type: 'Warning',
        reason: 'FailedScheduling',
        message,
        source: 'ephemeral-volume-controller',
      })
    }
  }
  return outcome
}

function ephemeralClaim(pod: Pod, { ephemeral }: Volume, name: string): PersistentVolumeClaim {
  const template = ephemeral?.volumeClaimTemplate
  const { labels, annotations } = template?.metadata ?? {}
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: draftMeta({
      name,
      ...(pod.metadata.namespace ? { namespace: pod.metadata.namespace } : {}),
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Pod',
          name: pod.metadata.name,
          uid: pod.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    }),
    spec: template?.spec ?? {},
  }
}
