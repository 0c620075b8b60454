// What a pod's claims mean for where it may go, and what is decided for them with its node: Kubernetes'
// VolumeBinding, VolumeZone, VolumeRestrictions and NodeVolumeLimits plugins.
// https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode

import { classOf, type PersistentVolumeClaim } from '../api/persistent-volume-claim.ts'
import type { PersistentVolume } from '../api/persistent-volume.ts'
import type { NodeSelectorTerm, Pod } from '../api/pod.ts'
import { STORAGE_CLASSES, type StorageClass } from '../api/storage-class.ts'
import { PD_ZONE_KEY, SELECTED_NODE, ZONE_LABEL } from '../api/volume-spec.ts'
import { keyOf } from '../key.ts'
import { withMeta } from '../reconcile/draft.ts'
import type { PlannedWrite } from '../reconcile/outcome.ts'
import { freeVolume } from '../reconcile/volumes/match.ts'
import { claimNamesOf, claimOf, volumeNamed } from '../reconcile/volumes/relations.ts'
import type { Reader } from '../view/reader.ts'
import { matchesTerm } from './node-terms.ts'
import type { Slot } from './snapshot.ts'

/** A pod's claims: those with a volume, and those whose volume waits for the choice of a node. */
export interface VolumeNeeds {
  bound: { claim: PersistentVolumeClaim; volume: PersistentVolume }[]
  unbound: PersistentVolumeClaim[]
}

const NONE: VolumeNeeds = { bound: [], unbound: [] }

/** The needs; a text says why the pod can go nowhere at all, whatever the node. */
export function volumeNeeds(reader: Reader, pod: Pod): VolumeNeeds | string {
  if (!pod.spec.volumes) return NONE
  const names = claimNamesOf(pod)
  if (names.length === 0) return NONE
  const needs: VolumeNeeds = { bound: [], unbound: [] }
  let waitsForBinding = false
  for (const name of names) {
    const claim = claimOf(reader, pod.metadata.namespace, name)
    if (!claim) return missing(pod, name)
    if (claim.metadata.deletionTimestamp) {
      return `persistentvolumeclaim "${name}" is being deleted`
    }
    const { volumeName } = claim.spec
    if (claim.status?.phase === 'Lost') {
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volumeName}"`
    }
    const volume = volumeName ? volumeNamed(reader, volumeName) : undefined
    if (claim.status?.phase === 'Bound' && volume) needs.bound.push({ claim, volume })
    else if (isForFirstConsumer(reader, claim)) needs.unbound.push(claim)
    else waitsForBinding = true
  }
  return waitsForBinding ? 'pod has unbound immediate PersistentVolumeClaims' : needs
}

function missing(pod: Pod, name: string): string {
  const isMade = pod.spec.volumes?.some(
    (volume) => volume.ephemeral && `${pod.metadata.name}-${volume.name}` === name,
  )
  return isMade
    ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
    : `persistentvolumeclaim "${name}" not found`
}

function isForFirstConsumer(reader: Reader, claim: PersistentVolumeClaim): boolean {
  return classFor(reader, claim)?.volumeBindingMode === 'WaitForFirstConsumer'
}

function classFor(reader: Reader, claim: PersistentVolumeClaim): StorageClass | undefined {
  return reader.get(keyOf(STORAGE_CLASSES, '', classOf(claim))) as StorageClass | undefined
}

/** True when the volume's node affinity lets this node have it. */
export function isReachable({ spec }: PersistentVolume, slot: Slot): boolean {
  const terms = spec.nodeAffinity?.required?.nodeSelectorTerms
  return !terms || terms.some((term) => matchesTerm(translated(term), slot))
}

/** The driver's own key of a zone is the nodes' label by another name. */
function translated(term: NodeSelectorTerm): NodeSelectorTerm {
  return {
    ...term,
    matchExpressions: (term.matchExpressions ?? []).map((each) =>
      each.key === PD_ZONE_KEY ? { ...each, key: ZONE_LABEL } : each,
    ),
  }
}

/** A volume for the claim that this node could use: one that is there, or one that can be made. */
export function canBindOn(reader: Reader, claim: PersistentVolumeClaim, slot: Slot): boolean {
  if (claim.metadata.annotations?.[SELECTED_NODE]) return true
  if (freeVolume(reader, claim, (volume) => isReachable(volume, slot))) return true
  const storageClass = classFor(reader, claim)
  if (!storageClass || storageClass.provisioner === 'kubernetes.io/no-provisioner') return false
  const zones = storageClass.allowedTopologies?.flatMap((topology) =>
    (topology.matchLabelExpressions ?? []).filter(
      ({ key }) => key === PD_ZONE_KEY || key === ZONE_LABEL,
    ),
  )
  const zone = slot.labels[ZONE_LABEL] ?? ''
  return !zones?.length || zones.some(({ values }) => values?.includes(zone))
}

/** Tells the claims which node it will be. `chosen` holds what this pass has told already. */
export function chooseVolumes(
  reader: Reader,
  needs: VolumeNeeds,
  slot: Slot,
  chosen: Set<string>,
): PlannedWrite[] {
  return needs.unbound.flatMap((claim): PlannedWrite[] => {
    const { annotations, uid, name, namespace } = claim.metadata
    if (annotations?.[SELECTED_NODE] || chosen.has(uid)) return []
    chosen.add(uid)
    const free = freeVolume(
      reader,
      claim,
      (volume) => isReachable(volume, slot) && !chosen.has(volume.metadata.uid),
    )
    if (free) {
      chosen.add(free.metadata.uid)
      const claimRef = { kind: 'PersistentVolumeClaim', namespace, name, uid, apiVersion: 'v1' }
      const object: PersistentVolume = { ...free, spec: { ...free.spec, claimRef } }
      return [{ do: 'put', object }]
    }
    const object = withMeta(claim, { annotations: { ...annotations, [SELECTED_NODE]: slot.name } })
    return [{ do: 'put', object }]
  })
}
