// A pod's volumes must be reachable from its node, and a disk that is written by one pod already is not
// asked for at another node: Kubernetes would send the pod there and let it wait.

import type { Pod } from '../../api/pod.ts'
import { attachments, diskOf, isExclusive, podsUsing } from '../../reconcile/volumes/relations.ts'
import type { Reader } from '../../view/reader.ts'
import { never, notNow } from '../rule.ts'
import type { Filter } from '../rule.ts'
import type { Slot } from '../snapshot.ts'
import { canBindOn, isReachable, volumeNeeds, type VolumeNeeds } from '../volumes.ts'

const AFFINITY = never('node(s) had volume node affinity conflict')
const UNBINDABLE = never("node(s) didn't find available persistent volumes to bind")
const FULL = notNow('node(s) exceed max volume count')
const ELSEWHERE = notNow(
  "node(s) can't attach a volume that is exclusively attached to another node",
)
const ONE_POD = never(
  'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode',
)

/** Persistent disks of a VM beside its boot disk. https://cloud.google.com/compute/docs/disks#pdnumberlimits */
const DISKS_MAX = 127
const DISKS_MAX_SHARED_CORE = 15
const SHARED_CORE = /^(e2-(micro|small|medium)|f1-micro|g1-small)$/

export const volumes: Filter = ({ pod, snapshot: { reader } }) => {
  const needs = volumeNeeds(reader, pod)
  if (typeof needs === 'string' || needs.bound.length + needs.unbound.length === 0) return undefined
  const users = usersOf(reader, pod, needs)
  if (users.isTaken) return () => ONE_POD
  const onNode = new Map<string, Set<string>>()
  for (const { spec } of attachments(reader)) {
    const name = spec.source.persistentVolumeName ?? ''
    onNode.set(spec.nodeName, (onNode.get(spec.nodeName) ?? new Set()).add(name))
  }
  return (slot) => {
    if (!needs.bound.every(({ volume }) => isReachable(volume, slot))) return AFFINITY
    if (!needs.unbound.every((claim) => canBindOn(reader, claim, slot))) return UNBINDABLE
    if ([...users.nodes].some((node) => node !== slot.name)) return ELSEWHERE
    return isFull(slot, onNode.get(slot.name), needs) ? FULL : undefined
  }
}

/** Where the pod's exclusive volumes are in use by pods that stay. */
function usersOf(
  reader: Reader,
  pod: Pod,
  needs: VolumeNeeds,
): { nodes: Set<string>; isTaken: boolean } {
  const nodes = new Set<string>()
  let isTaken = false
  for (const { claim, volume } of needs.bound) {
    if (!isExclusive(volume)) continue
    const { namespace, name } = claim.metadata
    for (const other of podsUsing(reader, namespace, name)) {
      const { nodeName } = other.spec
      const isLeaving = other.metadata.deletionTimestamp !== undefined
      if (!nodeName || isLeaving || other.metadata.uid === pod.metadata.uid) continue
      if (claim.spec.accessModes?.includes('ReadWriteOncePod')) isTaken = true
      if (diskOf(volume)) nodes.add(nodeName)
    }
  }
  return { nodes, isTaken }
}

function isFull(slot: Slot, there: ReadonlySet<string> | undefined, needs: VolumeNeeds): boolean {
  const more = needs.bound.filter(({ volume }) => !there?.has(volume.metadata.name)).length
  const type = slot.labels['node.kubernetes.io/instance-type'] ?? ''
  const limit = SHARED_CORE.test(type) ? DISKS_MAX_SHARED_CORE : DISKS_MAX
  return (there?.size ?? 0) + more + needs.unbound.length > limit
}
