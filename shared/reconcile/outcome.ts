// The shape of every controller: it sees the cluster and the time, and returns writes as data.
// The engine (shared/reconcile/engine.ts) applies them to an overlay, wakes whoever they concern,
// repeats until nothing changes, and hands the sum to one commit.

import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'
import type { Decision } from '../ports/store.ts'
import type { Reader } from '../view/reader.ts'

/**
 * One wish. `put` stores the object whole (creates it or replaces it: the engine knows which from
 * the reader and names the version); `remove` makes the record go away at once. A polite delete of
 * a pod is a `put` with metadata.deletionTimestamp set.
 */
export type PlannedWrite = { do: 'put'; object: KubeObject } | { do: 'remove'; key: Key }

/** A Kubernetes Event to record; equal ones (same object, reason and message) are counted up. */
export interface EventDraft {
  /** The object it is about. */
  about: KubeObject
  type: 'Normal' | 'Warning'
  /** e.g. `ScalingReplicaSet`. */
  reason: string
  message: string
  /** The component, as Kubernetes names it: `deployment-controller`, `default-scheduler`. */
  source: string
}

export interface Outcome {
  writes: PlannedWrite[]
  /** Look again at this time (ms) even if nothing changes. */
  requeueAtMs?: number
  events?: EventDraft[]
  decisions?: Decision[]
}

/** Nothing to do. */
export const IN_SYNC: Outcome = { writes: [] }

/** An object's step: what the engine shows to `wakes`. */
export interface ObservedChange {
  key: Key
  before: KubeObject | undefined
  after: KubeObject | undefined
}

export interface Reconciler {
  /** e.g. `deployment`. */
  name: string
  /**
   * Which keys this controller must look at when an object changed: the object itself, its owner,
   * those that select it. Cheap: it is asked for every change. For a start from nothing the engine
   * shows every object once with `before` undefined, so no key may be reachable only by an update.
   */
  wakes(change: ObservedChange, reader: Reader): Key[]
  /**
   * Pure. The key may be gone. Must be a no-op when run again on its own result. `room` is how many
   * writes (each with an Event) the commit still takes: who has more to do answers a part of it and
   * is asked again, because of its own changes or with requeueAtMs `now`.
   */
  reconcile(reader: Reader, key: Key, now: number, room: number): Outcome
}
