// Under which ids an object can be found: what the view and its overlay keep their lists by.

import type { KubeObject } from '../api/meta.ts'
import { splitKey } from '../key.ts'
import type { Key } from '../key.ts'

/** All objects of a resource, of one namespace or of all. */
export function listId(resource: string, namespace: string | undefined): string {
  return namespace === undefined ? `all/${resource}` : `in/${resource}/${namespace}`
}

/** Objects that name this uid as an owner. */
export function ownerId(uid: string): string {
  return `owner/${uid}`
}

/** Pods on a node. */
export function nodeId(node: string): string {
  return `node/${node}`
}

// Kubernetes forbids '/' in names, namespaces and uids, so the parts of an id cannot run together;
// a label's key may hold one, hence its place at the end, before '=' (which neither part may hold).
/** Objects of a resource and namespace with the label `key=value`. */
export function labelId(resource: string, namespace: string, key: string, value: string): string {
  return `label/${resource}/${namespace}/${key}=${value}`
}

/** Everything under which an object can be found. */
export function indexIds(key: Key, object: KubeObject): string[] {
  const { resource, namespace } = splitKey(key)
  const ids = [listId(resource, undefined), listId(resource, namespace)]
  const { labels, ownerReferences } = object.metadata
  for (const owner of ownerReferences ?? []) ids.push(ownerId(owner.uid))
  for (const label in labels) ids.push(labelId(resource, namespace, label, labels[label] ?? ''))
  if (resource === 'pods') {
    const node = nodeOf(object)
    if (node) ids.push(nodeId(node))
  }
  return ids
}

function nodeOf(pod: KubeObject & { spec?: unknown }): string | undefined {
  const { spec } = pod
  if (typeof spec !== 'object' || spec === null || !('nodeName' in spec)) return undefined
  return typeof spec.nodeName === 'string' ? spec.nodeName : undefined
}
