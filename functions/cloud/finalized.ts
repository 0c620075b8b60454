// The end of a finalizer.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Key } from '#shared/key.ts'
import { withMeta } from '#shared/reconcile/draft.ts'
import type { PlannedWrite } from '#shared/reconcile/outcome.ts'

/** The object without our finalizer: removed when it was waiting for that alone. */
export function finalized(key: Key, object: KubeObject, finalizer: string): PlannedWrite {
  const { finalizers: all = [], ...rest } = object.metadata
  const finalizers = all.filter((one) => one !== finalizer)
  if (rest.deletionTimestamp && finalizers.length === 0) return { do: 'remove', key }
  if (finalizers.length > 0) return { do: 'put', object: withMeta(object, { finalizers }) }
  return { do: 'put', object: { ...object, metadata: rest } }
}
