// Reading the log from a cursor: exact, and one billed read when there is nothing new. See
// docs/decisions/0005-reading-the-tail.md.
//
// A revision's version is its commit time, which no query can ask for; what can be asked for is `at`,
// the server's time when the request came in. A revision may become visible after another one with a
// later `at`. So a reader remembers which revisions it knows inside a window before its last read,
// and asks how many there are now: only if the count differs does it read, the newest stretch first.
// Every read tells its own time; what a later read than the first one saw is left to the next call,
// so that the answer is everything up to one moment, and nothing beyond it.

import type { DocumentSnapshot, Query } from '@google-cloud/firestore'
import { logExpired } from '#shared/ports/store-rules.ts'
import type { Cursor, Revision, Tail } from '#shared/ports/store.ts'
import { clusterPath, microsOf, segmentAt, versionOf } from './firestore-layout.ts'
import { clusterQuery, segmentQuery } from './firestore-queries.ts'
import type { Stretch } from './firestore-queries.ts'
import { atMsOf, readRevision, snapshotVersion } from './firestore-revision.ts'
import type { FirestoreSession } from './firestore-session.ts'
import type { OwnCommit } from './own-commits.ts'

// A commit chooses its segment when it begins, may take its whole deadline, and its writer's clock
// may be off: a reader looks into each segment that may still get, or already has, revisions.
const SEGMENT_LATE_MS = 30_000
const SEGMENT_EARLY_MS = 10_000

/** Revisions that become visible out of order were mostly requested within this time. */
const NEAR_MS = 250
const PAGE_SIZE = 300

/** What a cursor holds. */
interface Place {
  /** Everything up to this version has been read (microseconds). */
  micros: number
  /** The known revisions of the window: id → `at`. */
  known: Map<string, number>
  /** It was made of a version: then its revisions are known although their ids are not. */
  isBareVersion: boolean
}

interface Window {
  cluster: string
  place: Place
  startMs: number
  /** Own commits that the reader does not know of yet. */
  own: OwnCommit[]
  select: (stretch: Stretch) => Query
}

/** What was found, up to one moment. */
interface Finding {
  readMicros: number
  snapshots: DocumentSnapshot[]
  /** Own commits that needed no reading. */
  own: OwnCommit[]
  /** The window was read as a whole: what was known and is not here is not there any more. */
  isWhole: boolean
}

/** Store.revisions. */
export async function readTail(
  session: FirestoreSession,
  cluster: string,
  cursor: Cursor | undefined,
): Promise<Tail> {
  const place = parseCursor(cursor)
  if (cursor !== undefined) await refuseExpired(session, cluster, place)
  const startMs = startOf(session, place.micros)
  const own = cursor === undefined ? [] : session.own.after(cluster, versionOf(place.micros))
  const window = { cluster, place, startMs, own, select: selector(session, cluster, startMs) }
  return answer(session, window, await find(session, window))
}

/** From where on something can be new to whoever has read everything up to `micros`. */
function startOf(session: FirestoreSession, micros: number): number {
  return Math.floor(micros / 1000) - session.options.overlapMs
}

/** One segment's collection where that is enough, else all of the cluster's. */
function selector(
  session: FirestoreSession,
  cluster: string,
  startMs: number,
): (stretch: Stretch) => Query {
  const { firestore } = session.options.connection
  const { segmentMs } = session.options
  const first = segmentAt(Math.max(0, startMs - SEGMENT_LATE_MS), segmentMs)
  const last = segmentAt(session.serverNow() + SEGMENT_EARLY_MS, segmentMs)
  return first === last
    ? (stretch) => segmentQuery(firestore, cluster, first, stretch)
    : (stretch) => clusterQuery(firestore, cluster, stretch)
}

/** The revisions of the window that may be new, by as few reads as will do. */
async function find(session: FirestoreSession, window: Window): Promise<Finding> {
  const { place, startMs, own, select } = window
  if (place.known.size + own.length === 0) {
    const read = await readAll(session, select({ fromMs: startMs }))
    return { ...read, own: [], isWhole: true }
  }
  const counted = await session.count('counting new revisions', select({ fromMs: startMs }))
  const { readMicros } = counted
  const ownRead = own.filter(({ revision }) => Number(revision.version) <= readMicros)
  const seen = new Set([...place.known.keys(), ...ownRead.map(({ revision }) => revision.id)])
  const snapshots: DocumentSnapshot[] = []
  for (const stretch of stretches(window)) {
    if (seen.size === counted.count) return { readMicros, snapshots, own: ownRead, isWhole: false }
    const read = await readAll(session, select(stretch))
    for (const snapshot of read.snapshots) {
      if (Number(snapshotVersion(snapshot)) > readMicros) continue
      seen.add(snapshot.id)
      snapshots.push(snapshot)
    }
  }
  return { readMicros, snapshots, own: ownRead, isWhole: true }
}

/** The window in pieces, the newest first: what is new is nearly always in the first. */
function stretches({ place, startMs }: Window): Stretch[] {
  if (place.known.size === 0) return [{ fromMs: startMs }]
  const newestMs = Math.max(...place.known.values())
  const nearMs = Math.max(startMs, newestMs - NEAR_MS)
  return [
    { fromMs: newestMs + 1 },
    { fromMs: nearMs, untilMs: newestMs + 1 },
    { fromMs: startMs, untilMs: nearMs },
  ]
}

/** A query's whole result as of its first page. */
async function readAll(
  session: FirestoreSession,
  query: Query,
): Promise<{ readMicros: number; snapshots: DocumentSnapshot[] }> {
  const snapshots: DocumentSnapshot[] = []
  let readMicros: number | undefined
  let page = query.limit(PAGE_SIZE)
  for (;;) {
    const result = await session.query('reading the log', page)
    const limit = (readMicros ??= microsOf(result.readTime))
    for (const snapshot of result.docs) {
      if (Number(snapshotVersion(snapshot)) <= limit) snapshots.push(snapshot)
    }
    const last = result.docs.at(-1)
    if (result.size < PAGE_SIZE || !last) return { readMicros, snapshots }
    page = query.startAfter(last).limit(PAGE_SIZE)
  }
}

async function answer(
  session: FirestoreSession,
  { place }: Window,
  { readMicros, snapshots, own, isWhole }: Finding,
): Promise<Tail> {
  const known = new Map(isWhole ? [] : place.known)
  const mine = new Set(own.map(({ revision }) => revision.id))
  const fresh: Promise<Revision>[] = []
  for (const snapshot of snapshots) {
    known.set(snapshot.id, atMsOf(snapshot))
    if (mine.has(snapshot.id) || isKnown(place, snapshot)) continue
    fresh.push(readRevision(session, snapshot))
  }
  for (const { revision, atMs } of own) known.set(revision.id, atMs)
  const revisions = [...(await Promise.all(fresh)), ...own.map(({ revision }) => revision)]
  revisions.sort(inOrder)
  return { revisions, cursor: formatCursor(session, readMicros, known) }
}

/** By version, then by id, so that every reader sees those of one version in the same order. */
function inOrder(a: Revision, b: Revision): number {
  if (a.version !== b.version) return a.version < b.version ? -1 : 1
  return a.id < b.id ? -1 : 1
}

function isKnown(place: Place, snapshot: DocumentSnapshot): boolean {
  if (place.known.has(snapshot.id)) return true
  return place.isBareVersion && Number(snapshotVersion(snapshot)) <= place.micros
}

/** A log is cut off at its old end only, so only who was away for long need look. */
async function refuseExpired(
  session: FirestoreSession,
  cluster: string,
  { micros }: Place,
): Promise<void> {
  const ageMs = session.serverNow() - micros / 1000
  // A second for what the clocks may differ by.
  if (ageMs + 1000 < session.options.keepMs) return
  const [snapshot] = await session.read('reading how far the log reaches', [clusterPath(cluster)])
  const trimmedTo: unknown = snapshot?.get('trimmedTo')
  if (typeof trimmedTo === 'number' && trimmedTo > micros) throw logExpired()
}

function formatCursor(
  session: FirestoreSession,
  micros: number,
  known: ReadonlyMap<string, number>,
): Cursor {
  const startMs = startOf(session, micros)
  return JSON.stringify({ micros, known: [...known].filter(([, atMs]) => atMs >= startMs) })
}

function parseCursor(cursor: Cursor | undefined): Place {
  if (cursor === undefined) return { micros: 0, known: new Map(), isBareVersion: false }
  if (/^\d{16}$/.test(cursor)) {
    return { micros: Number(cursor), known: new Map(), isBareVersion: true }
  }
  const { micros, known } = JSON.parse(cursor) as { micros: number; known: [string, number][] }
  return { micros, known: new Map(known), isBareVersion: false }
}
