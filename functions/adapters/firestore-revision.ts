// Objects and revisions as they come out of their documents.

import firestoreModule from '@google-cloud/firestore'
import type { DocumentSnapshot } from '@google-cloud/firestore'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Revision, Version } from '#shared/ports/store.ts'
import { frozen } from '#shared/view/frozen.ts'
import { microsOf, versionOf } from './firestore-layout.ts'
import type { FirestoreSession } from './firestore-session.ts'
import { revisionOf, versioned } from './revision-content.ts'
import type { RevisionContent } from './revision-content.ts'

/** The revision in a document of the log, read together with its parts if it has some. */
export async function readRevision(
  session: FirestoreSession,
  snapshot: DocumentSnapshot,
): Promise<Revision> {
  const content = await session.contentOf(snapshot.ref.path, snapshot.data() ?? {})
  return revisionOf(content as RevisionContent, snapshotVersion(snapshot))
}

/** The version of a document that exists. */
export function snapshotVersion(snapshot: DocumentSnapshot): Version {
  if (!snapshot.updateTime) throw new Error(`${snapshot.ref.path} does not exist`)
  return versionOf(microsOf(snapshot.updateTime))
}

/** The object in a document, read together with its parts if it has some. */
export async function readObject(
  session: FirestoreSession,
  snapshot: DocumentSnapshot,
): Promise<KubeObject> {
  const content = await session.contentOf(snapshot.ref.path, snapshot.data() ?? {})
  return frozen(versioned(content as KubeObject, snapshotVersion(snapshot)))
}

/** The server time that a revision's document carries. */
export function atMsOf(snapshot: DocumentSnapshot): number {
  const at: unknown = snapshot.get('at')
  if (at instanceof firestoreModule.Timestamp) return at.toMillis()
  throw new Error(`${snapshot.ref.path} has no time`)
}
