// Retention: the log's old end, or a whole cluster, deleted in bounded steps.

import type { DocumentSnapshot, Query } from '@google-cloud/firestore'
import type { Version } from '#shared/ports/store.ts'
import { partCount } from './firestore-content.ts'
import { checkpointsPath, clusterPath, partPath } from './firestore-layout.ts'
import { clusterQuery } from './firestore-queries.ts'
import { snapshotVersion } from './firestore-revision.ts'
import type { FirestoreSession } from './firestore-session.ts'
import type { WireWrite } from './open-firestore.ts'

const BATCH = 400

/** Store.trim. */
export async function trimLog(
  session: FirestoreSession,
  cluster: string,
  version: Version | undefined,
  limit: number,
): Promise<number> {
  return version === undefined
    ? dropCluster(session, cluster, limit)
    : trimRevisions(session, cluster, version, limit)
}

async function trimRevisions(
  session: FirestoreSession,
  cluster: string,
  version: Version,
  limit: number,
): Promise<number> {
  const { connection, keepMs } = session.options
  const untilMicros = Math.min(Number(version), (session.serverNow() - keepMs) * 1000)
  if (untilMicros <= 0) return 0
  const stretch = { fromMs: 0, untilMs: Math.floor(untilMicros / 1000) + 1 }
  const query = clusterQuery(connection.firestore, cluster, stretch).select('parts').limit(limit)
  const { docs } = await session.query('looking for what to trim', query)
  const old = docs.filter((doc) => Number(snapshotVersion(doc)) < untilMicros)
  if (old.length === 0) return 0
  const newest = Math.max(...old.map((doc) => Number(snapshotVersion(doc))))
  await deleteAll(session, old, [trimmedTo(session, cluster, newest)])
  return old.length
}

/**
 * In the same commit as the first deletion, so that no reader can miss what is gone; the greatest
 * one stays, because revisions are deleted in the order of their requests, not of their versions.
 */
function trimmedTo(session: FirestoreSession, cluster: string, micros: number): WireWrite {
  return {
    update: { name: session.nameOf(clusterPath(cluster)), fields: {} },
    updateMask: { fieldPaths: [] },
    updateTransforms: [{ fieldPath: 'trimmedTo', maximum: { integerValue: String(micros) } }],
  }
}

async function dropCluster(
  session: FirestoreSession,
  cluster: string,
  limit: number,
): Promise<number> {
  const { firestore } = session.options.connection
  session.own.forget(cluster)
  const removed = { count: 0 }
  const drop = async (query: Query): Promise<boolean> => {
    const left = limit - removed.count
    if (left <= 0) return false
    const page = query.select('parts').limit(left)
    const { docs } = await session.query('looking for what to drop', page)
    await deleteAll(session, docs, [])
    removed.count += docs.length
    return docs.length < left
  }
  const isGone =
    (await drop(clusterQuery(firestore, cluster, { fromMs: 0 }))) &&
    (await drop(firestore.collection(`${clusterPath(cluster)}/objects`)))
  if (!isGone) return removed.count
  const checkpoints = firestore.collection(checkpointsPath(cluster)).select()
  const { docs } = await session.query('looking for checkpoints to drop', checkpoints)
  await deleteAll(session, docs, [{ delete: session.nameOf(clusterPath(cluster)) }])
  return removed.count
}

/** Documents with their parts, a batch at a time; `first` goes into the first batch. */
async function deleteAll(
  session: FirestoreSession,
  docs: readonly DocumentSnapshot[],
  first: WireWrite[],
): Promise<void> {
  const deletions = docs.flatMap((doc): WireWrite[] => {
    const { path } = doc.ref
    const parts = Array.from({ length: partCount(doc.data() ?? {}) }, (_, part) => ({
      delete: session.nameOf(partPath(path, part)),
    }))
    return [...parts, { delete: session.nameOf(path) }]
  })
  const writes = [...first, ...deletions]
  for (let start = 0; start < writes.length; start += BATCH) {
    await session.write('deleting old documents', writes.slice(start, start + BATCH))
  }
}
