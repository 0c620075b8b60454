// That a cluster has an HTTP balancer, or may have one, is written down beside the Ingresses: these can be taken away
// with their finalizers, and the balancer must go all the same.

import { keyOf } from '../key.ts'
import { withMeta } from '../reconcile/draft.ts'
import type { PlannedWrite } from '../reconcile/outcome.ts'
import type { Reader } from '../view/reader.ts'

/** The namespace that every cluster has. */
export const MARKED = keyOf('namespaces', '', 'kube-system')
const MARK = 'wherry.dev/http-balancer'

export function isMarked(reader: Reader): boolean {
  return reader.get(MARKED)?.metadata.annotations?.[MARK] !== undefined
}

/** Before the balancer is made. */
export function mark(reader: Reader): PlannedWrite[] {
  const namespace = reader.get(MARKED)
  if (!namespace || isMarked(reader)) return []
  const annotations = { ...namespace.metadata.annotations, [MARK]: 'true' }
  return [{ do: 'put', object: withMeta(namespace, { annotations }) }]
}

/** When it is gone. */
export function unmark(reader: Reader): PlannedWrite[] {
  const namespace = reader.get(MARKED)
  if (!namespace || !isMarked(reader)) return []
  const { [MARK]: _, ...annotations } = namespace.metadata.annotations ?? {}
  return [{ do: 'put', object: withMeta(namespace, { annotations }) }]
}
