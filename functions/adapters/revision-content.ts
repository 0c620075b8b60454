// A revision as it is stored, and as it is read: what a commit decides is its version.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Change, Commit, Revision, Version } from '#shared/ports/store.ts'
import { frozen, frozenCopy } from '#shared/view/frozen.ts'

/** A revision without what is known only when it is committed: its version. */
export interface RevisionContent {
  id: string
  cause: Commit['cause']
  changes: Change[]
  decisions: Revision['decisions']
  requeueAtMs?: number
}

/** `befores`: the objects as they are now, by key. */
export function contentOfCommit(
  commit: Commit,
  befores: ReadonlyMap<string, KubeObject>,
): RevisionContent {
  return {
    id: commit.id,
    cause: commit.cause,
    changes: commit.writes.map(({ key, object }) => {
      const before = befores.get(key)
      return {
        key,
        ...(before ? { before } : {}),
        ...(object ? { after: frozenCopy(bare(object)) } : {}),
      }
    }),
    decisions: commit.decisions ?? [],
    ...(commit.requeueAtMs === undefined ? {} : { requeueAtMs: commit.requeueAtMs }),
  }
}

/** An object as it is stored: its version is the document's own time, not part of it. */
export function bare(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** An object as it is read: with the version of the commit that stored it. */
export function versioned(object: KubeObject, version: Version): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: version } }
}

/** The revision that a commit at this version became. Frozen: views and histories share it. */
export function revisionOf(content: RevisionContent, version: Version): Revision {
  const changes = content.changes.map((change): Change =>
    change.after ? { ...change, after: versioned(change.after, version) } : change,
  )
  return frozen({ ...content, version, changes })
}
