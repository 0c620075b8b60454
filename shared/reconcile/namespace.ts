// The life of a namespace: what it starts with, and how it ends. A namespace that is deleted stays
// Terminating until everything in it is gone, pods (gracefully) first.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/

import type { ConfigMap } from '../api/config.ts'
import { withCondition } from '../api/conditions.ts'
import type { Condition, KubeObject } from '../api/meta.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { ROOT_CA_CONFIG_MAP } from './bootstrap.ts'
import { deletePolitely } from './delete.ts'
import { draftMeta } from './draft.ts'
import { ALL_KINDS, keyOfObject } from './kinds.ts'
import { WRITES_PER_OUTCOME } from './limits.ts'
import { IN_SYNC } from './outcome.ts'
import type { ObservedChange, Outcome, PlannedWrite, Reconciler } from './outcome.ts'

interface Namespace extends KubeObject {
  spec?: { finalizers?: string[] }
  status?: { phase?: string; conditions?: Condition[] }
}

const ROOT_CA_SOURCE = keyOf('configmaps', 'kube-system', ROOT_CA_CONFIG_MAP)
/** What a namespace starts with: removed only with the namespace, so its loss wakes us. */
const STANDARD = [
  ['serviceaccounts', 'default'],
  ['configmaps', ROOT_CA_CONFIG_MAP],
] as const

export const namespaceReconciler: Reconciler = { name: 'namespace', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, namespace, name } = splitKey(key)
  if (resource === 'namespaces') return [key]
  if (key === ROOT_CA_SOURCE) {
    return reader.list('namespaces').map((each) => keyOf('namespaces', '', each.metadata.name))
  }
  if (!namespace || (before && after)) return []
  const isStandard = STANDARD.some((each) => each[0] === resource && each[1] === name)
  const owner = keyOf('namespaces', '', namespace)
  return isStandard || reader.get(owner)?.metadata.deletionTimestamp ? [owner] : []
}

function reconcile(reader: Reader, key: Key, now: number, room: number): Outcome {
  const namespace = reader.get(key)
  if (!namespace) return IN_SYNC
  if (namespace.metadata.deletionTimestamp) return terminate(reader, namespace, now, room)
  return { writes: standardObjects(reader, namespace.metadata.name) }
}

function standardObjects(reader: Reader, namespace: string): PlannedWrite[] {
  const writes: PlannedWrite[] = []
  if (!reader.get(keyOf('serviceaccounts', namespace, 'default'))) {
    const object = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: draftMeta({ name: 'default', namespace }),
    }
    writes.push({ do: 'put', object })
  }
  const source: ConfigMap | undefined = reader.get(ROOT_CA_SOURCE)
  const copy: ConfigMap | undefined = reader.get(keyOf('configmaps', namespace, ROOT_CA_CONFIG_MAP))
  const pem = source?.data?.['ca.crt']
  if (pem !== undefined && copy?.data?.['ca.crt'] !== pem) {
    const metadata = copy?.metadata ?? draftMeta({ name: ROOT_CA_CONFIG_MAP, namespace })
    const object: ConfigMap = {
      ...copy,
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'ca.crt': pem },
    }
    writes.push({ do: 'put', object })
  }
  return writes
}

function terminate(reader: Reader, namespace: Namespace, now: number, room: number): Outcome {
  const name = namespace.metadata.name
  const pods = reader.list('pods', name)
  // Pods first, so that they may still read their configuration while they stop.
  const content =
    pods.length > 0
      ? [...pods]
      : ALL_KINDS.filter((kind) => kind.isNamespaced).flatMap((kind) =>
          reader.list(kind.resource, name),
        )
  if (content.length === 0) return finish(namespace)
  const deletions = content.flatMap((object) => deletePolitely(object, now))
  const writes = deletions.slice(0, Math.min(room, WRITES_PER_OUTCOME))
  const isMore = deletions.length > writes.length
  return {
    writes: [...writes, ...reportRemaining(namespace, content, now)],
    ...(isMore ? { requeueAtMs: now } : {}),
  }
}

/** The record goes when nobody else holds it by a finalizer of its own. */
function finish(namespace: Namespace): Outcome {
  const key = keyOf('namespaces', '', namespace.metadata.name)
  if (!namespace.metadata.finalizers?.length) return { writes: [{ do: 'remove', key }] }
  const object: Namespace = {
    ...namespace,
    spec: { ...namespace.spec, finalizers: [] },
    status: { ...namespace.status, phase: 'Terminating' },
  }
  return { writes: [{ do: 'put', object }] }
}

/** What can go wrong where kinds are served by others; here they are all known. */
const NO_FAILURES: readonly Condition[] = [
  {
    type: 'NamespaceDeletionDiscoveryFailure',
    status: 'False',
    reason: 'ResourcesDiscovered',
    message: 'All resources successfully discovered',
  },
  {
    type: 'NamespaceDeletionGroupVersionParsingFailure',
    status: 'False',
    reason: 'ParsedGroupVersions',
    message: 'All legacy kube types successfully parsed',
  },
  {
    type: 'NamespaceDeletionContentFailure',
    status: 'False',
    reason: 'ContentDeleted',
    message: 'All content successfully deleted, may be waiting on finalization',
  },
]

function reportRemaining(
  namespace: Namespace,
  content: readonly KubeObject[],
  now: number,
): PlannedWrite[] {
  const waitingFor = content.filter((object) => object.metadata.finalizers?.length)
  const remaining: Condition = {
    type: 'NamespaceContentRemaining',
    status: 'True',
    reason: 'SomeResourcesRemain',
    message: `Some resources are remaining: ${countByKind(content)}`,
  }
  const finalizers: Condition =
    waitingFor.length > 0
      ? {
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message: `Some content in the namespace has finalizers remaining: ${countFinalizers(waitingFor)}`,
        }
      : {
          type: 'NamespaceFinalizersRemaining',
          status: 'False',
          reason: 'ContentHasNoFinalizers',
          message: 'All content-preserving finalizers finished',
        }
  const conditions = [...NO_FAILURES, remaining, finalizers].reduce(
    (list, condition) => withCondition(list, condition, now),
    namespace.status?.conditions ?? [],
  )
  const object: Namespace = { ...namespace, status: { phase: 'Terminating', conditions } }
  return [{ do: 'put', object }]
}

function countByKind(objects: readonly KubeObject[]): string {
  const resources = objects.map((object) => splitKey(keyOfObject(object)).resource)
  // Kubernetes' words: `pods. has 1 resource instances`, with the empty name of the core group.
  const names = resources.map((resource) => (resource.includes('.') ? resource : `${resource}.`))
  return counted(names, 'has', 'resource instances')
}

function countFinalizers(objects: readonly KubeObject[]): string {
  const names = objects.flatMap((object) => object.metadata.finalizers ?? [])
  return counted(names, 'in', 'resource instances')
}

function counted(names: readonly string[], verb: string, unit: string): string {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${verb} ${count} ${unit}`)
    .join(', ')
}
