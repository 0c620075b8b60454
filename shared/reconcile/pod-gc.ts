// Takes away the records of pods whose node does not exist (any more): nobody else would.
// As Kubernetes' pod garbage collector.

import type { Pod } from '../api/pod.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { deleteAtOnce } from './delete.ts'
import { keyOfObject } from './kinds.ts'
import { IN_SYNC } from './outcome.ts'
import type { ObservedChange, Outcome, Reconciler } from './outcome.ts'

export const podGcReconciler: Reconciler = { name: 'pod-gc', wakes, reconcile }

function wakes({ key, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, name } = splitKey(key)
  if (resource === 'nodes') return after ? [] : reader.podsOnNode(name).map(keyOfObject)
  return resource === 'pods' && after && (after as Pod).spec.nodeName ? [key] : []
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  const pod = reader.get(key) as Pod | undefined
  const node = pod?.spec.nodeName
  if (!pod || !node || reader.get(keyOf('nodes', '', node))) return IN_SYNC
  const writes = deleteAtOnce(pod, now)
  if (writes.length === 0) return IN_SYNC
  return {
    writes,
    decisions: [{ key, by: 'pod-gc', text: `removed: its node ${node} does not exist` }],
  }
}
