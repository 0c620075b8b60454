// A revision as a watch sees it: what entered the selection, changed within it, or left it.

import type { KindDefinition } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { splitKey } from '#shared/key.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import type { Selection } from './select.ts'
import { fromStored, storedResource } from './storage.ts'

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  object: KubeObject
}

export interface WatchScope {
  kind: KindDefinition
  /** undefined: all. */
  namespace: string | undefined
  selection: Selection
}

/** The events of one revision, in its order. */
export function eventsOf(revision: Revision, scope: WatchScope): WatchEvent[] {
  return revision.changes.flatMap((change) => eventsOfChange(change, revision, scope))
}

function eventsOfChange(change: Change, revision: Revision, scope: WatchScope): WatchEvent[] {
  const { resource, namespace } = splitKey(change.key)
  if (resource !== storedResource(scope.kind)) return []
  if (scope.namespace !== undefined && scope.namespace !== namespace) return []
  const before = selected(change.before, scope)
  const after = selected(change.after, scope)
  if (before && after && before.metadata.uid !== after.metadata.uid) {
    // Replaced in one commit: for who watches, one went and another came.
    return [gone(before, revision), { type: 'ADDED', object: after }]
  }
  if (after) return [{ type: before ? 'MODIFIED' : 'ADDED', object: after }]
  return before ? [gone(before, revision)] : []
}

function selected(stored: KubeObject | undefined, scope: WatchScope): KubeObject | undefined {
  if (!stored) return undefined
  const object = fromStored(scope.kind, stored)
  return scope.selection.includes(object) ? object : undefined
}

/** The last state, with the version at which it was gone: clients go on from there. */
function gone(object: KubeObject, revision: Revision): WatchEvent {
  const metadata = { ...object.metadata, resourceVersion: revision.version }
  return { type: 'DELETED', object: { ...object, metadata } }
}
