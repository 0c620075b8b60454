// Where a kind's objects stand in the store, and how they look from there: most kinds as they are,
// an alias (events.k8s.io/v1 over v1 Events) in the shape of another.

import type { KubeEvent } from '#shared/api/event.ts'
import { EVENT_TTL_MS } from '#shared/api/event.ts'
import { resourceOf, type KindDefinition } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { keyOf, type Key } from '#shared/key.ts'
import { parseTime } from '#shared/time.ts'

/** The first part of the keys of a kind's objects. */
export function storedResource(kind: KindDefinition): string {
  return kind.alias?.resource ?? resourceOf(kind)
}

export function storedKey(kind: KindDefinition, namespace: string, name: string): Key {
  return keyOf(storedResource(kind), namespace, name)
}

/** A stored object as this kind shows it. */
export function fromStored(kind: KindDefinition, stored: KubeObject): KubeObject {
  return kind.alias ? kind.alias.fromStored(stored) : stored
}

/** An object of this kind as it is stored. */
export function toStored(kind: KindDefinition, object: KubeObject): KubeObject {
  return kind.alias ? kind.alias.toStored(object) : object
}

/** Events end an hour after they were last seen, whoever removes them and when. */
export function isOutlived(stored: KubeObject, now: number): boolean {
  if (stored.kind !== 'Event' || stored.apiVersion !== 'v1') return false
  const { lastTimestamp, eventTime, series }: Partial<KubeEvent> = stored
  const seen =
    parseTime(series?.lastObservedTime) ??
    parseTime(lastTimestamp) ??
    parseTime(eventTime) ??
    parseTime(stored.metadata.creationTimestamp)
  return seen !== undefined && seen + EVENT_TTL_MS < now
}

/** The version is the Store's to give, never part of what is written. */
export function unversioned<T extends KubeObject>(object: T): T {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** The object as of a version: what is told of one that is gone. */
export function atVersion<T extends KubeObject>(object: T, resourceVersion: string): T {
  return { ...object, metadata: { ...object.metadata, resourceVersion } }
}
