// What is filled in when a controller's object is stored: what Kubernetes' API server does for its
// controllers. Derived, never drawn, so that two runs of one step store the same object.

import type { KubeObject } from '../api/meta.ts'
import { isEqual } from '../equal.ts'
import { derivedUid } from '../hash.ts'
import type { Key } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { kindFacts } from './kinds.ts'

export interface StampContext {
  reader: Reader
  key: Key
  now: number
  /** As the object is in this pass; undefined: it is new. */
  current: KubeObject | undefined
  /** As the object was before this pass. */
  base: KubeObject | undefined
}

/** The object as it is to be stored. */
export function stamp(object: KubeObject, context: StampContext): KubeObject {
  return context.current
    ? stampUpdate(object, context.current, context.base)
    : stampCreation(object, context)
}

function stampCreation(object: KubeObject, { reader, key, now }: StampContext): KubeObject {
  const facts = kindFacts(object.apiVersion, object.kind)
  const { resourceVersion: _, ...metadata } = object.metadata
  const draft: KubeObject = structuredClone({
    ...object,
    metadata: {
      ...metadata,
      // The version tells this incarnation of the name from those before it.
      uid: derivedUid(key, reader.version),
      creationTimestamp: formatTime(now),
      ...(facts?.hasGeneration ? { generation: 1 } : {}),
    },
  })
  facts?.applyDefaults(draft, { now, reader })
  return draft
}

function stampUpdate(
  object: KubeObject,
  current: KubeObject,
  base: KubeObject | undefined,
): KubeObject {
  const { uid, creationTimestamp, resourceVersion, generation, managedFields } = current.metadata
  const facts = kindFacts(object.apiVersion, object.kind)
  const before = base?.metadata.uid === uid ? base : undefined
  // One step from the base, however often it was rewritten in this pass.
  const isNewSpec = before !== undefined && !hasSameSpec(object, before)
  const next = before ? (before.metadata.generation ?? 0) + (isNewSpec ? 1 : 0) : generation
  const metadata = { ...object.metadata, uid, creationTimestamp }
  delete metadata.resourceVersion
  delete metadata.generation
  return {
    ...object,
    metadata: {
      ...metadata,
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(facts?.hasGeneration && next ? { generation: next } : {}),
      ...(!metadata.managedFields && managedFields ? { managedFields } : {}),
    },
  }
}

/** True when nothing outside metadata and status differs. */
function hasSameSpec(a: KubeObject, b: KubeObject): boolean {
  const { metadata: _a, ...left } = a as KubeObject & { status?: unknown }
  const { metadata: _b, ...right } = b as KubeObject & { status?: unknown }
  delete left.status
  delete right.status
  return isEqual(left, right)
}
