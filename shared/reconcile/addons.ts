// What every cluster has beside what Kubernetes itself brings: GKE's storage classes and the class of our
// Ingresses. As GKE's addon manager (`addonmanager.kubernetes.io/mode: EnsureExists`): what is missing is made, be
// it that somebody deleted it or that the cluster is older than it; what is there is not touched.
// https://github.com/kubernetes/kubernetes/tree/master/cluster/addons/addon-manager

import { LEAVING_ANNOTATION } from '../api/cluster.ts'
import {
  DEFAULT_CLASS_ANNOTATION,
  INGRESS_CLASSES,
  INGRESS_CONTROLLER,
  OWN_CLASS,
  type IngressClass,
} from '../api/ingress-class.ts'
import type { KubeObject } from '../api/meta.ts'
import { STORAGE_CLASSES } from '../api/storage-class.ts'
import { keyOf, splitKey, type Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { draftMeta } from './draft.ts'
import { keyOfObject } from './kinds.ts'
import { IN_SYNC, type ObservedChange, type Outcome, type Reconciler } from './outcome.ts'
import { ADDON_LABELS, standardClasses } from './volumes/classes.ts'

/** Every cluster has it for as long as it stands. */
const ANCHOR = keyOf('namespaces', '', 'kube-system')

export const addonReconciler: Reconciler = { name: 'addons', wakes, reconcile }

function wakes({ key, after }: ObservedChange): Key[] {
  if (key === ANCHOR) return [ANCHOR]
  const { resource } = splitKey(key)
  const isGone = !after && (resource === STORAGE_CLASSES || resource === INGRESS_CLASSES)
  return isGone ? [ANCHOR] : []
}

function reconcile(reader: Reader, key: Key): Outcome {
  const anchor = reader.get(key)
  const isLeaving =
    anchor?.metadata.deletionTimestamp ?? anchor?.metadata.annotations?.[LEAVING_ANNOTATION]
  if (!anchor || isLeaving) return IN_SYNC
  const missing = addonObjects((_, name) => draftMeta({ name })).filter(
    (object) => !reader.get(keyOfObject(object)),
  )
  return { writes: missing.map((object) => ({ do: 'put', object })) }
}

/** Complete objects; `metaOf` gives each its uid and time. */
export function addonObjects(
  metaOf: (kind: string, name: string) => KubeObject['metadata'],
): KubeObject[] {
  const ingressClass: IngressClass = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: {
      ...metaOf('IngressClass', OWN_CLASS),
      generation: 1,
      labels: ADDON_LABELS,
      annotations: { [DEFAULT_CLASS_ANNOTATION]: 'true' },
    },
    spec: { controller: INGRESS_CONTROLLER },
  }
  return [ingressClass, ...standardClasses(metaOf)]
}
