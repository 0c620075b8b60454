// Keeps as many pods as the ReplicaSet asks for.

import type { KubeObject } from '../../api/meta.ts'
import { controllerOf } from '../../api/owner.ts'
import { isPodActive } from '../../api/pod-conditions.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { keyOf, splitKey } from '../../key.ts'
import type { Key } from '../../key.ts'
import { matchesLabelSelector } from '../../selector.ts'
import type { Reader } from '../../view/reader.ts'
import { deletePolitely } from '../delete.ts'
import { WRITES_PER_OUTCOME } from '../limits.ts'
import { IN_SYNC } from '../outcome.ts'
import type { EventDraft, ObservedChange, Outcome, PlannedWrite, Reconciler } from '../outcome.ts'
import { QUOTAS } from '../../quota/admission.ts'
import { admittedPods, claimPods, newPods, podChanges, withPodChanges } from './pods.ts'
import { inOrderOfDeletion } from './ranks.ts'
import { REPLICA_FAILURE, replicaSetStatus } from './status.ts'

const REPLICA_SETS = 'replicasets.apps'
const SOURCE = 'replicaset-controller'

export const replicaSetReconciler: Reconciler = {
  name: 'replica-set',
  wakes,
  reconcile(reader, key, now, room) {
    const set = reader.get(key) as ReplicaSet | undefined
    return set ? reconcileReplicaSet(reader, set, now, Math.min(room, WRITES_PER_OUTCOME)) : IN_SYNC
  },
}

function wakes(change: ObservedChange, reader: Reader): Key[] {
  const { resource } = splitKey(change.key)
  if (resource === REPLICA_SETS) return change.after ? [change.key] : []
  if (resource === QUOTAS) return setsWithoutRoom(reader, splitKey(change.key).namespace)
  if (resource !== 'pods') return []
  const keys = new Set<Key>()
  for (const pod of [change.before, change.after]) {
    const owner = pod ? controllerOf(pod) : undefined
    if (owner?.kind === 'ReplicaSet') {
      keys.add(keyOf(REPLICA_SETS, pod?.metadata.namespace, owner.name))
    }
  }
  if (change.after && !controllerOf(change.after)) {
    for (const key of setsThatSelect(reader, change.after)) keys.add(key)
  }
  return [...keys]
}

/** Those that could not make their pods: more may be allowed by now. */
function setsWithoutRoom(reader: Reader, namespace: string): Key[] {
  return (reader.list(REPLICA_SETS, namespace) as readonly ReplicaSet[])
    .filter((set) => set.status?.conditions?.some(({ type }) => type === REPLICA_FAILURE))
    .map((set) => keyOf(REPLICA_SETS, namespace, set.metadata.name))
}

function setsThatSelect(reader: Reader, pod: KubeObject): Key[] {
  const { namespace, labels } = pod.metadata
  return (reader.list(REPLICA_SETS, namespace) as readonly ReplicaSet[])
    .filter((set) => matchesLabelSelector(set.spec.selector, labels))
    .map((set) => keyOf(REPLICA_SETS, namespace, set.metadata.name))
}

function reconcileReplicaSet(reader: Reader, set: ReplicaSet, now: number, room: number): Outcome {
  const { own, adopted, released } = claimPods(reader, set)
  const claims = [...adopted, ...released].map((object): PlannedWrite => ({ do: 'put', object }))
  if (claims.length > 0) return { writes: claims.slice(0, room) }

  const active = own.filter(isPodActive)
  const missing = (set.spec.replicas ?? 1) - active.length
  if (missing !== 0 && !set.metadata.deletionTimestamp) {
    if (missing > 0) return createPods(reader, set, { count: Math.min(missing, room), active, now })
    const ranked = inOrderOfDeletion(active, related(reader, set, own), now)
    return deletePods(set, ranked.slice(0, Math.min(-missing, room)), now)
  }
  const { status, nextAvailableAtMs } = replicaSetStatus(set, active, now)
  const object: ReplicaSet = { ...set, status }
  return {
    writes: [{ do: 'put', object }],
    ...(nextAvailableAtMs === undefined ? {} : { requeueAtMs: nextAvailableAtMs }),
  }
}

interface Creation {
  count: number
  active: readonly Pod[]
  now: number
}

/** What changes pods changes the set too: see POD_CHANGES_ANNOTATION. */
function createPods(reader: Reader, set: ReplicaSet, { count, active, now }: Creation): Outcome {
  const wanted = newPods(reader, set, count, podChanges(set))
  const { pods, refusal } = admittedPods(reader, wanted.pods)
  if (refusal !== undefined && pods.length === 0) return reportRefusal(set, active, refusal, now)
  return {
    writes: [
      ...pods.map((object): PlannedWrite => ({ do: 'put', object })),
      { do: 'put', object: withPodChanges(set, podChanges(set) + pods.length) },
    ],
    events: pods.map((pod) => news(set, 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`)),
  }
}

/** A quota leaves no room: the set says so, and is asked again when the quota changes. */
function reportRefusal(
  set: ReplicaSet,
  active: readonly Pod[],
  refusal: string,
  now: number,
): Outcome {
  const { status } = replicaSetStatus(set, active, now, refusal)
  const object: ReplicaSet = { ...set, status }
  return {
    writes: [{ do: 'put', object }],
    events: [
      { ...news(set, 'FailedCreate', `Error creating: ${refusal}`), type: 'Warning' as const },
    ],
  }
}

function deletePods(set: ReplicaSet, leaving: readonly Pod[], now: number): Outcome {
  return {
    writes: [
      ...leaving.flatMap((pod) => deletePolitely(pod, now)),
      { do: 'put', object: withPodChanges(set, podChanges(set) + leaving.length) },
    ],
    events: leaving.map((pod) =>
      news(set, 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`),
    ),
  }
}

/** The pods of all sets of the same Deployment: two versions of one app on a node count as doubled. */
function related(reader: Reader, set: ReplicaSet, own: readonly Pod[]): readonly Pod[] {
  const owner = controllerOf(set)
  if (!owner) return own.filter(isPodActive)
  return reader
    .ownedBy(owner.uid)
    .filter((object) => object.kind === 'ReplicaSet')
    .flatMap((sibling) => reader.ownedBy(sibling.metadata.uid) as readonly Pod[])
    .filter((object) => object.kind === 'Pod' && isPodActive(object))
}

function news(about: ReplicaSet, reason: string, message: string): EventDraft {
  return { about, type: 'Normal', reason, message, source: SOURCE }
}
