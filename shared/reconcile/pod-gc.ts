// Takes away the records of pods that nobody else would: those whose node does not exist (any more),
// those that are being deleted and were never on a node, and the oldest of too many that have ended.
// As Kubernetes' pod garbage collector.

import { isPodTerminal } from '../api/pod-conditions.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { deleteAtOnce } from './delete.ts'
import { keyOfObject } from './kinds.ts'
import { WRITES_PER_OUTCOME } from './limits.ts'
import { IN_SYNC } from './outcome.ts'
import type { ObservedChange, Outcome, Reconciler } from './outcome.ts'

export const podGcReconciler: Reconciler = { name: 'pod-gc', wakes, reconcile }

/** kube-controller-manager's --terminated-pod-gc-threshold. */
const ENDED_PODS_MAX = 12_500
const ENDED_PODS: Key = keyOf('pods', '', '*ended')

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, name } = splitKey(key)
  if (resource === 'nodes') return after ? [] : reader.podsOnNode(name).map(keyOfObject)
  if (resource !== 'pods' || !after) return []
  const pod = after as Pod
  const hasEnded = isPodTerminal(pod) && !(before && isPodTerminal(before as Pod))
  const isLost = !pod.spec.nodeName
    ? pod.metadata.deletionTimestamp !== undefined
    : !reader.get(keyOf('nodes', '', pod.spec.nodeName))
  return [...(isLost ? [key] : []), ...(hasEnded ? [ENDED_PODS] : [])]
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  if (key === ENDED_PODS) return removeOldest(reader, now)
  const pod = reader.get(key) as Pod | undefined
  const why = pod && whyLost(reader, pod)
  if (!pod || !why) return IN_SYNC
  const writes = deleteAtOnce(pod, now)
  if (writes.length === 0) return IN_SYNC
  return { writes, decisions: [{ key, by: 'pod-gc', text: `removed: ${why}` }] }
}

function whyLost(reader: Reader, { spec, metadata }: Pod): string | undefined {
  const { nodeName } = spec
  if (!nodeName) return metadata.deletionTimestamp ? 'it was never on a node' : undefined
  return reader.get(keyOf('nodes', '', nodeName))
    ? undefined
    : `its node ${nodeName} does not exist`
}

function removeOldest(reader: Reader, now: number): Outcome {
  const ended = (reader.list('pods') as readonly Pod[]).filter(isPodTerminal)
  const surplus = ended.length - ENDED_PODS_MAX
  if (surplus <= 0) return IN_SYNC
  const oldest = ended
    .sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1))
    .slice(0, Math.min(surplus, WRITES_PER_OUTCOME))
  return {
    writes: oldest.flatMap((pod) => deleteAtOnce(pod, now)),
    ...(surplus > WRITES_PER_OUTCOME ? { requeueAtMs: now } : {}),
  }
}
