// A cluster that holds just these objects.

import type { KubeObject } from '#shared/api/meta.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { ClusterView } from '#shared/view/view.ts'

export function viewOf(...objects: KubeObject[]): ClusterView {
  const view = new ClusterView()
  const version = '0000000000000001'
  view.apply({
    id: version,
    version,
    cause: { actor: 'test', verb: 'create' },
    changes: objects.map((object) => ({
      key: keyOfObject(object),
      after: { ...object, metadata: { ...object.metadata, resourceVersion: version } },
    })),
    decisions: [],
  })
  return view
}
