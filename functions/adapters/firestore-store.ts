// The Store on Firestore. What is where: firestore-layout.ts; each verb has a file of its own.

import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { ClusterChange, CountedStore } from '#shared/ports/store.ts'
import { readCheckpoint, writeCheckpoint } from './firestore-checkpoint.ts'
import { commitToFirestore } from './firestore-commit.ts'
import { followLog } from './firestore-follow.ts'
import { objectPath } from './firestore-layout.ts'
import { allQuery } from './firestore-queries.ts'
import { readObject, snapshotVersion } from './firestore-revision.ts'
import { FirestoreSession } from './firestore-session.ts'
import { readTail } from './firestore-tail.ts'
import { trimLog } from './firestore-trim.ts'
import type { FirestoreConnection } from './open-firestore.ts'

export interface FirestoreStoreOptions {
  connection: FirestoreConnection
  clock: Clock
  log: Log
  /** How long one call may take, and one commit with all its retries. */
  deadlineMs?: number
  /** All processes of a project must agree on this and the next two. At least two minutes. */
  segmentMs?: number
  overlapMs?: number
  keepMs?: number
}

/** A driver of its own counters; close the connection when done. */
export function createFirestoreStore(options: FirestoreStoreOptions): CountedStore {
  const session = new FirestoreSession({
    deadlineMs: 10_000,
    segmentMs: 600_000,
    overlapMs: 15_000,
    keepMs: 600_000,
    ...options,
  })
  return {
    commit: (cluster, commit) => commitToFirestore(session, cluster, commit),

    async get(cluster, key) {
      const [snapshot] = await session.read('reading an object', [objectPath(cluster, key)])
      return snapshot?.exists ? readObject(session, snapshot) : undefined
    },

    readCheckpoint: (cluster) => readCheckpoint(session, cluster),
    writeCheckpoint: (cluster, checkpoint) => writeCheckpoint(session, cluster, checkpoint),
    revisions: (cluster, cursor) => readTail(session, cluster, cursor),
    follow: (cluster, onChange) => followLog(session, cluster, onChange),
    changedSince: (sinceMs) => changedSince(session, sinceMs),
    trim: (cluster, version, limit) => trimLog(session, cluster, version, limit),
    usage: () => ({ ...session.usage }),
  }
}

/** What was committed since then may have been requested a little earlier. */
async function changedSince(session: FirestoreSession, sinceMs: number): Promise<ClusterChange[]> {
  const { connection, overlapMs } = session.options
  const query = allQuery(connection.firestore, { fromMs: sinceMs - overlapMs })
  const { docs } = await session.query(
    'reading what changed in all clusters',
    query.select('cluster', 'requeueAtMs'),
  )
  const changes = new Map<string, ClusterChange>()
  for (const doc of docs) {
    const version = snapshotVersion(doc)
    const cluster: unknown = doc.get('cluster')
    if (Number(version) < sinceMs * 1000 || typeof cluster !== 'string') continue
    const due: unknown = doc.get('requeueAtMs')
    const change = changes.get(cluster) ?? { cluster, version }
    if (version > change.version) change.version = version
    if (typeof due === 'number') change.requeueAtMs = Math.min(due, change.requeueAtMs ?? due)
    changes.set(cluster, change)
  }
  return [...changes.values()]
}
