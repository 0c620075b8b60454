// Garbage collection by metadata.ownerReferences: what belonged to something that is gone goes too.
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/

import type { KubeObject, OwnerReference } from '../api/meta.ts'
import { isEqual } from '../equal.ts'
import { keyOf } from '../key.ts'
import type { Key } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { deletePolitely } from './delete.ts'
import { withMeta } from './draft.ts'
import { keyOfObject, kindFacts } from './kinds.ts'
import { WRITES_PER_OUTCOME } from './limits.ts'
import { IN_SYNC } from './outcome.ts'
import type { ObservedChange, Outcome, PlannedWrite, Reconciler } from './outcome.ts'

/** Finalizers by which a delete with that propagation policy is remembered. */
const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

export const ownerGcReconciler: Reconciler = { name: 'owner-gc', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const keys: Key[] = []
  if (isCollecting(after) || hasNewOwners(before, after)) keys.push(key)
  // Gone, or replaced by another object of its name: its dependents are looked at.
  if (before && before.metadata.uid !== after?.metadata.uid) {
    keys.push(...reader.ownedBy(before.metadata.uid).map(keyOfObject))
  }
  if (isCollecting(after)) keys.push(...reader.ownedBy(after?.metadata.uid ?? '').map(keyOfObject))
  keys.push(...formerOwners(before, after))
  return keys
}

/** Its owners are to be looked for: it is new, or it names others than before. */
function hasNewOwners(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  const owners = after?.metadata.ownerReferences
  if (!owners?.length) return false
  return (
    before?.metadata.uid !== after?.metadata.uid ||
    !isEqual(before?.metadata.ownerReferences, owners)
  )
}

/** Owners that may have waited for this one to go, or to forget them. */
function formerOwners(before: KubeObject | undefined, after: KubeObject | undefined): Key[] {
  const left = new Set((after?.metadata.ownerReferences ?? []).map(({ uid }) => uid))
  return (before?.metadata.ownerReferences ?? [])
    .filter(({ uid }) => !left.has(uid))
    .flatMap((owner) => ownerKey(owner, before) ?? [])
}

function isCollecting(object: KubeObject | undefined): boolean {
  const finalizers = object?.metadata.finalizers ?? []
  return (
    object?.metadata.deletionTimestamp !== undefined &&
    (finalizers.includes(FOREGROUND) || finalizers.includes(ORPHAN))
  )
}

function reconcile(reader: Reader, key: Key, now: number, room: number): Outcome {
  const object = reader.get(key)
  if (!object) return IN_SYNC
  if (object.metadata.deletionTimestamp) {
    if (object.metadata.finalizers?.includes(ORPHAN)) return orphan(reader, object, room)
    if (object.metadata.finalizers?.includes(FOREGROUND)) return awaitDependents(reader, object)
    return IN_SYNC
  }
  return collect(reader, object, now)
}

/** Takes the reference from all dependents, then lets the owner go. */
function orphan(reader: Reader, owner: KubeObject, room: number): Outcome {
  const dependents = reader.ownedBy(owner.metadata.uid)
  const writes = dependents
    .slice(0, Math.min(room, WRITES_PER_OUTCOME))
    .map((dependent) => withoutOwners(dependent, new Set([owner.metadata.uid])))
  return { writes: dependents.length > 0 ? writes : withoutFinalizer(owner, ORPHAN) }
}

/** The owner goes when no dependent is left that blocks it. */
function awaitDependents(reader: Reader, owner: KubeObject): Outcome {
  const isBlocking = (dependent: KubeObject): boolean =>
    dependent.metadata.ownerReferences?.some(
      (reference) => reference.uid === owner.metadata.uid && reference.blockOwnerDeletion === true,
    ) ?? false
  const blocking = reader.ownedBy(owner.metadata.uid).filter(isBlocking)
  return blocking.length > 0 ? IN_SYNC : { writes: withoutFinalizer(owner, FOREGROUND) }
}

function collect(reader: Reader, object: KubeObject, now: number): Outcome {
  const references = object.metadata.ownerReferences ?? []
  const found = references.map((reference) => ({
    reference,
    state: ownerState(reader, reference, object),
  }))
  if (found.every(({ state }) => state === 'there')) return IN_SYNC
  if (found.some(({ state }) => state === 'there')) {
    const gone = found.filter(({ state }) => state === 'gone').map(({ reference }) => reference.uid)
    return gone.length > 0 ? { writes: [withoutOwners(object, new Set(gone))] } : IN_SYNC
  }
  const isForeground = found.some(({ state }) => state === 'waiting')
  const hasDependents = reader.ownedBy(object.metadata.uid).length > 0
  if (isForeground && hasDependents) return { writes: [markForeground(object, now)] }
  return { writes: deletePolitely(object, now) }
}

/** `waiting`: it is being deleted in the foreground and wants its dependents gone first. */
function ownerState(
  reader: Reader,
  reference: OwnerReference,
  dependent: KubeObject,
): 'there' | 'gone' | 'waiting' {
  const key = ownerKey(reference, dependent)
  // Of a kind that is not known nobody can say that it is gone.
  if (!key) return 'there'
  const owner = reader.get(key)
  if (owner?.metadata.uid !== reference.uid) return 'gone'
  const isForeground =
    owner.metadata.deletionTimestamp !== undefined &&
    (owner.metadata.finalizers?.includes(FOREGROUND) ?? false)
  return isForeground ? 'waiting' : 'there'
}

function ownerKey(reference: OwnerReference, dependent: KubeObject | undefined): Key | undefined {
  const facts = kindFacts(reference.apiVersion, reference.kind)
  if (!facts) return undefined
  return keyOf(
    facts.resource,
    facts.isNamespaced ? dependent?.metadata.namespace : '',
    reference.name,
  )
}

function markForeground(object: KubeObject, now: number): PlannedWrite {
  return {
    do: 'put',
    object: withMeta(object, {
      deletionTimestamp: formatTime(now),
      deletionGracePeriodSeconds: 0,
      finalizers: [...(object.metadata.finalizers ?? []), FOREGROUND],
    }),
  }
}

function withoutOwners(object: KubeObject, uids: ReadonlySet<string>): PlannedWrite {
  const { ownerReferences = [], ...metadata } = object.metadata
  const left = ownerReferences.filter((reference) => !uids.has(reference.uid))
  return {
    do: 'put',
    object: {
      ...object,
      metadata: left.length > 0 ? { ...metadata, ownerReferences: left } : metadata,
    },
  }
}

/** Without any finalizer left a deleted object's record goes. */
function withoutFinalizer(object: KubeObject, finalizer: string): PlannedWrite[] {
  const { finalizers = [], ...metadata } = object.metadata
  const left = finalizers.filter((each) => each !== finalizer)
  if (left.length === 0) return [{ do: 'remove', key: keyOfObject(object) }]
  return [{ do: 'put', object: { ...object, metadata: { ...metadata, finalizers: left } } }]
}
