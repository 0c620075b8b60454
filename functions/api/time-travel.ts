// The objects of one resource as they were at an earlier version: the present, with the revisions
// since then taken back. Pages of one list are all of one version, however long the client takes.

import type { KubeObject } from '#shared/api/meta.ts'
import { splitKey, type Key } from '#shared/key.ts'
import type { Revision, Version } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { tooOld } from './resource-version.ts'

/** By key, in the order of keys. Error: Expired when the log does not reach back to `version`. */
export async function objectsAt(
  view: LiveView,
  resource: string,
  namespace: string | undefined,
  version: Version,
): Promise<Map<Key, KubeObject>> {
  // Both are taken before anything is awaited: the view may move on meanwhile.
  const { version: present } = view.current
  const objects = new Map(objectsNow(view.current.list(resource, namespace), resource))
  if (version >= present) return objects
  const revisions = (await historySince(view, version)).filter((each) => each.version <= present)
  for (const revision of revisions.toReversed()) {
    for (const { key, before } of revision.changes.toReversed()) {
      const parts = splitKey(key)
      if (parts.resource !== resource) continue
      if (namespace !== undefined && parts.namespace !== namespace) continue
      if (before) objects.set(key, before)
      else objects.delete(key)
    }
  }
  return new Map([...objects].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

/** Objects with their keys, in the order of keys. */
export function objectsNow(
  objects: readonly KubeObject[],
  resource: string,
): readonly (readonly [Key, KubeObject])[] {
  return objects.map((object) => [
    `${resource}/${object.metadata.namespace ?? ''}/${object.metadata.name}`,
    object,
  ])
}

async function historySince(view: LiveView, version: Version): Promise<readonly Revision[]> {
  try {
    return await view.history(version)
  } catch (error) {
    if (isReason(error, 'Expired')) throw tooOld(version, view.current.version)
    throw error
  }
}
