// New objects as controllers write them: without what the engine fills in when it stores them (uid,
// creation time, generation, defaults).

import type { KubeObject, ObjectMeta } from '../api/meta.ts'

/** The metadata of an object that may not exist yet. */
export function draftMeta(
  meta: Pick<ObjectMeta, 'name'> & Partial<Omit<ObjectMeta, 'uid' | 'creationTimestamp'>>,
): ObjectMeta {
  return { ...meta, uid: '', creationTimestamp: '' }
}

/** The same object with other metadata. */
export function withMeta<T extends KubeObject>(object: T, meta: Partial<ObjectMeta>): T {
  return { ...object, metadata: { ...object.metadata, ...meta } }
}
