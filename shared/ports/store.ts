// The Store port: per cluster, the objects (current state) and the log of revisions (history).
// Drivers: functions/adapters/firestore-store.ts and emulator/adapters/memory-store.ts.
// What both must do is written down, and run, in test/contract/store.ts.

import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'

/**
 * The version of everything: a commit's time in microseconds since 1970, 16 decimal digits. It is
 * Kubernetes' resourceVersion. Texts of equal length, so `<` on them is the order in time.
 */
export type Version = string

/** The version of a log that has no revision yet. */
export const NO_VERSION: Version = '0000000000000000'

/** One object to store (`object`) or to remove (null), and the version it was computed from. */
export interface Write {
  key: Key
  object: KubeObject | null
  /** The version that must still be current; null: the object must not exist. Never "any". */
  expect: Version | null
  /**
   * The object as it is at `expect` (with that metadata.resourceVersion), when the writer has it: it
   * saves the driver a read for the revision's `before`. Anything else in here is ignored.
   */
  before?: KubeObject
}

/** Why a controller or the scheduler did something; stored with the revision, shown to people. */
export interface Decision {
  /** What it is about. */
  key: Key
  /** Who decided, e.g. `scheduler`, `deployment`. */
  by: string
  /** One sentence, e.g. `chose node a: 1200m of 2000m CPU requested, least waste of 3`. */
  text: string
}

/** Who made a commit and why. Never holds a secret. */
export interface CommitCause {
  /** `user:admin`, `node:gke-…`, `function:reconcile`. */
  actor: string
  /** `create`, `patch`, `reconcile` … */
  verb: string
  /** Free text for people, e.g. the request path. */
  detail?: string
}

export interface Commit {
  /** Chosen by the writer and unique, so that after a lost answer it can look whether it happened. */
  id: string
  cause: CommitCause
  writes: Write[]
  decisions?: Decision[]
  /** The earliest time (ms) at which somebody must look at the cluster again. */
  requeueAtMs?: number
}

/** One object's step in a revision. `before`/`after` absent: it did not exist / it is removed. */
export interface Change {
  key: Key
  before?: KubeObject
  after?: KubeObject
}

/** One commit as it stands in the log. Objects in it carry their metadata.resourceVersion. */
export interface Revision {
  id: string
  version: Version
  cause: CommitCause
  changes: Change[]
  decisions: Decision[]
  requeueAtMs?: number
}

/**
 * Where a reader of the log stands. Opaque, JSON, made by the driver only; except that a Version is
 * a cursor too: it stands just after the revisions of that version.
 */
export type Cursor = string

export interface Tail {
  /** New to this cursor, in version order; those of one version stand together. */
  revisions: Revision[]
  cursor: Cursor
}

/** The whole cluster at one version, with the cursor from which the log goes on. */
export interface Checkpoint {
  version: Version
  cursor: Cursor
  objects: { key: Key; object: KubeObject }[]
}

/** A cluster that changed, seen by a reader of all clusters' logs (the sweep). */
export interface ClusterChange {
  cluster: string
  version: Version
  requeueAtMs?: number
}

/**
 * Billing units of a driver since it was opened, as Firestore bills them; tests and the ledger read
 * them. A document read is one, and so is a query without result, and a count of up to 1000.
 */
export interface StoreUsage {
  reads: number
  writes: number
  deletes: number
}

export interface Store {
  /**
   * Applies all writes and appends one revision, atomically. Answers the revision as stored.
   * A commit without writes is refused as a bug (idle clusters write nothing).
   * Errors: Conflict / AlreadyExists / NotFound (a version moved; details name the object, nothing
   * was applied), RequestEntityTooLarge (an object above OBJECT_BYTES_MAX or the commit above what
   * one commit may carry), ServiceUnavailable (the outcome stayed unknown or the store is away).
   */
  commit(cluster: string, commit: Commit): Promise<Revision>

  /** One object as it is now, or undefined. For checks; ordinary reads use the view. */
  get(cluster: string, key: Key): Promise<KubeObject | undefined>

  /** The newest checkpoint, or undefined when none was ever written. */
  readCheckpoint(cluster: string): Promise<Checkpoint | undefined>

  /** Replaces the checkpoint unless a newer one is there already. */
  writeCheckpoint(cluster: string, checkpoint: Checkpoint): Promise<void>

  /**
   * The revisions after `cursor` (undefined: from the first that is kept), complete up to the
   * moment of the call. Costs one read when there are none. Expired: the log no longer reaches
   * back that far; load the checkpoint.
   */
  revisions(cluster: string, cursor: Cursor | undefined): Promise<Tail>

  /**
   * Calls `onChange` soon after a revision of the cluster was committed by anyone. It carries no
   * revisions: it is a poke to catch up, may come twice, and may be lost when the link breaks (then
   * it reconnects and pokes once). Who has read up to the `version` that it names has nothing to do;
   * without one there is no telling. Answers the function that ends it.
   */
  follow(cluster: string, onChange: (version?: Version) => void): Promise<() => Promise<void>>

  /**
   * The clusters that have revisions committed at or after `sinceMs` (server time), whatever their
   * number, by one query: one read when there are none.
   */
  changedSince(sinceMs: number): Promise<ClusterChange[]>

  /**
   * Removes revisions older than `version` (own batched deletes, at most `limit` of them) and
   * answers how many. With `version` undefined the whole cluster goes: objects, log, checkpoints.
   */
  trim(cluster: string, version: Version | undefined, limit: number): Promise<number>
}

/** A driver that says what its use costs; every driver does. */
export interface CountedStore extends Store {
  usage(): StoreUsage
}

/** Kubernetes' own limit for one object is 1.5 MiB (etcd's request limit). */
export const OBJECT_BYTES_MAX = 1_572_864

/** One commit's data; the Firestore emulator hangs above 4 MiB, production refuses above 10 MiB. */
export const COMMIT_BYTES_MAX = 3_500_000
