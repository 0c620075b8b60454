// One commit: all objects and the revision in one batch, each guarded by its precondition. An answer
// that got lost is looked for: the revision's id was chosen by the writer, so its document tells.

import type { DocumentSnapshot } from '@google-cloud/firestore'
import { unavailable, within } from '#shared/deadline.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Key } from '#shared/key.ts'
import { promisedBefore, refuseSenseless, staleWrite } from '#shared/ports/store-rules.ts'
import type { Commit, Revision, Write } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import { objectPath, revisionsPath, segmentAt, versionOf } from './firestore-layout.ts'
import { planWrites } from './firestore-plan.ts'
import { atMsOf, readObject, snapshotVersion } from './firestore-revision.ts'
import { GRPC, codeOf } from './firestore-session.ts'
import type { FirestoreSession } from './firestore-session.ts'
import type { WireWrite } from './open-firestore.ts'
import { contentOfCommit, revisionOf } from './revision-content.ts'
import type { RevisionContent } from './revision-content.ts'

const ATTEMPTS_MAX = 4
/** Of the deadline: a lost answer must leave time to look, and to try once more. */
const ATTEMPT_SHARE = 0.4

const UNKNOWN_OUTCOME: ReadonlySet<number | undefined> = new Set([
  GRPC.cancelled,
  GRPC.unknown,
  GRPC.deadlineExceeded,
  GRPC.internal,
  GRPC.unavailable,
])
const MOVED: ReadonlySet<number | undefined> = new Set([
  GRPC.notFound,
  GRPC.alreadyExists,
  GRPC.failedPrecondition,
])
const NOT_APPLIED: ReadonlySet<number | undefined> = new Set([GRPC.aborted, GRPC.resourceExhausted])

/** A commit that is ready to be sent, as often as needed. */
interface Plan {
  cluster: string
  commit: Commit
  content: RevisionContent
  revisionPath: string
  /** The revision's document first. */
  writes: WireWrite[]
}

/** Store.commit. */
export async function commitToFirestore(
  session: FirestoreSession,
  cluster: string,
  commit: Commit,
): Promise<Revision> {
  refuseSenseless(commit)
  const befores = await readBefores(session, cluster, commit.writes)
  const segment = segmentAt(session.serverNow(), session.options.segmentMs)
  const revisionPath = `${revisionsPath(cluster, segment)}/${commit.id}`
  const content = contentOfCommit(commit, befores)
  const nameOf = (path: string): string => session.nameOf(path)
  const input = { cluster, commit, content, segment, revisionPath, befores, nameOf }
  return send(session, { cluster, commit, content, revisionPath, writes: planWrites(input) })
}

/** The objects that the writes replace or remove; refuses at once if one is not as expected. */
async function readBefores(
  session: FirestoreSession,
  cluster: string,
  writes: Write[],
): Promise<Map<Key, KubeObject>> {
  const befores = new Map<Key, KubeObject>()
  const unpromised: Write[] = []
  for (const write of writes) {
    if (write.expect === null) continue
    const before = promisedBefore(write)
    if (before) befores.set(write.key, before)
    else unpromised.push(write)
  }
  const paths = unpromised.map((write) => objectPath(cluster, write.key))
  const snapshots = await session.read('reading what a commit replaces', paths)
  refuseStale(unpromised, snapshots)
  for (const [index, write] of unpromised.entries()) {
    const snapshot = snapshots[index]
    if (snapshot?.exists) befores.set(write.key, await readObject(session, snapshot))
  }
  return befores
}

function refuseStale(writes: Write[], snapshots: DocumentSnapshot[]): void {
  for (const [index, write] of writes.entries()) {
    const snapshot = snapshots[index]
    if (!snapshot) continue
    const stale = staleWrite(write, snapshot.exists ? snapshotVersion(snapshot) : undefined)
    if (stale) throw stale
  }
}

async function send(session: FirestoreSession, plan: Plan): Promise<Revision> {
  const { clock, deadlineMs } = session.options
  const deadline = clock.now() + deadlineMs
  let lastError: unknown
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (attempt > 0) await clock.sleep(50 * 2 ** attempt)
    const leftMs = deadline - clock.now()
    if (leftMs <= 0) break
    try {
      return await sendOnce(session, plan, Math.ceil(Math.min(leftMs, deadlineMs * ATTEMPT_SHARE)))
    } catch (error) {
      lastError = error
      const done = await afterFailure(session, plan, error, deadline)
      if (done) return done
    }
  }
  throw unavailable('the outcome of the commit is not known', lastError)
}

async function sendOnce(
  session: FirestoreSession,
  plan: Plan,
  attemptMs: number,
): Promise<Revision> {
  const { clock, connection } = session.options
  const sending = connection.commit(plan.writes, attemptMs)
  // Its own deadline comes first; the second is for a channel that does not keep it.
  const [outcome] = await within(clock, attemptMs + 200, 'committing', sending)
  if (!outcome) throw new Error('Firestore answered a commit without results')
  const { updateMicros, requestMicros = updateMicros } = outcome
  return committed(session, plan, updateMicros, Math.floor(requestMicros / 1000))
}

/** The revision when it is there after all; undefined: try again. Throws what is final. */
async function afterFailure(
  session: FirestoreSession,
  plan: Plan,
  error: unknown,
  deadline: number,
): Promise<Revision | undefined> {
  const code = codeOf(error)
  if (MOVED.has(code)) return explain(session, plan)
  if (NOT_APPLIED.has(code)) return undefined
  if (UNKNOWN_OUTCOME.has(code) || isReason(error, 'ServiceUnavailable')) {
    return lookFor(session, plan, deadline)
  }
  throw error
}

/** The revision, if the commit happened although nobody said so. */
async function lookFor(
  session: FirestoreSession,
  plan: Plan,
  deadline: number,
): Promise<Revision | undefined> {
  const { clock, log } = session.options
  const leftMs = deadline - clock.now()
  if (leftMs <= 0) return undefined
  try {
    const reading = session.read('looking for a commit', [plan.revisionPath])
    const [snapshot] = await within(clock, leftMs, 'looking for a commit', reading)
    return snapshot?.exists ? found(session, plan, snapshot) : undefined
  } catch (error) {
    log.warn('a commit could not be looked for', { cluster: plan.cluster, error })
    return undefined
  }
}

/**
 * Why a precondition failed: because an earlier attempt had succeeded (then its revision), or
 * because of a write that is refused with its reason. Undefined: what was in the way is gone again.
 */
async function explain(session: FirestoreSession, plan: Plan): Promise<Revision | undefined> {
  const { writes } = plan.commit
  const paths = writes.map((write) => objectPath(plan.cluster, write.key))
  const what = 'looking for what a commit ran into'
  const [revision, ...objects] = await session.read(what, [plan.revisionPath, ...paths], ['at'])
  if (revision?.exists) return found(session, plan, revision)
  refuseStale(writes, objects)
  return undefined
}

function found(session: FirestoreSession, plan: Plan, snapshot: DocumentSnapshot): Revision {
  return committed(session, plan, Number(snapshotVersion(snapshot)), atMsOf(snapshot))
}

function committed(
  session: FirestoreSession,
  plan: Plan,
  updateMicros: number,
  atMs: number,
): Revision {
  session.learnTime(updateMicros)
  session.countWrites(plan.writes)
  const revision = revisionOf(plan.content, versionOf(updateMicros))
  session.own.add(plan.cluster, { revision, atMs })
  return revision
}
