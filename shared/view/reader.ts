// What pure code may ask of a cluster: the whole state in memory, indexed. Implemented by the view
// (shared/view/view.ts), and by the overlay that a reconcile pass writes on (shared/view/overlay.ts).

import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'
import type { Version } from '../ports/store.ts'

export interface Reader {
  /** The version of the newest revision that is in here. */
  readonly version: Version
  get(key: Key): KubeObject | undefined
  /** All objects of a resource (`pods`, `deployments.apps`), of one namespace or of all, by key. */
  list(resource: string, namespace?: string): readonly KubeObject[]
  /** Objects that name this uid in metadata.ownerReferences. */
  ownedBy(uid: string): readonly KubeObject[]
  /** Pods with spec.nodeName = node. */
  podsOnNode(node: string): readonly KubeObject[]
  /** Objects of a resource and namespace that carry the label `key=value`. */
  labelled(resource: string, namespace: string, key: string, value: string): readonly KubeObject[]
}
