// A node's events: the same news about the same object is one Event that is counted up.

import type { NodeEvent } from '#shared/api/agent-wire.ts'
import type { KubeEvent } from '#shared/api/event.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { derivedUid } from '#shared/hash.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import { eventKey, recordEvent } from '#shared/reconcile/record-events.ts'
import type { EventDraft } from '#shared/reconcile/outcome.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { isOutlived } from '../storage.ts'

const SOURCE = 'kubelet'

/** The Events to store. About pods of other nodes nothing is believed. */
export function eventWrites(
  reader: Reader,
  node: string,
  events: readonly NodeEvent[],
  now: number,
): Write[] {
  const writes = new Map<Key, Write>()
  for (const event of events) {
    const about = subjectOf(reader, node, event)
    if (!about) continue
    const { type, reason, message } = event
    const draft: EventDraft = { about, type, reason, message, source: SOURCE }
    const key = eventKey(draft)
    const stored = reader.get(key)
    const seen = recordEvent(readerOf(key, freshest(writes.get(key), stored, now)), draft, now)
    writes.set(key, {
      key,
      object: completed(seen, key, node, event, now),
      expect: stored?.metadata.resourceVersion ?? null,
    })
  }
  return [...writes.values()]
}

/** One that is an hour old has ended: what happens now is a new one, counted from one. */
function freshest(
  write: Write | undefined,
  stored: KubeObject | undefined,
  now: number,
): KubeObject | undefined {
  if (write?.object) return write.object
  return stored && !isOutlived(stored, now) ? stored : undefined
}

function readerOf(key: Key, object: KubeObject | undefined): Reader {
  return {
    version: '',
    get: (asked) => (asked === key ? object : undefined),
    list: () => [],
    ownedBy: () => [],
    podsOnNode: () => [],
    labelled: () => [],
  }
}

function subjectOf(reader: Reader, node: string, { pod }: NodeEvent): KubeObject | undefined {
  if (!pod) {
    const stored = reader.get(keyOf('nodes', '', node))
    const unregistered: KubeObject = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node, uid: node, creationTimestamp: '' },
    }
    return stored ?? unregistered
  }
  return reader.podsOnNode(node).find(({ metadata: { namespace, name, uid } }) => {
    return namespace === pod.namespace && name === pod.name && uid === pod.uid
  })
}

function completed(
  event: KubeEvent,
  key: Key,
  node: string,
  { fieldPath }: NodeEvent,
  now: number,
): KubeEvent {
  const { resourceVersion: _, ...metadata } = event.metadata
  return {
    ...event,
    metadata: {
      ...metadata,
      uid: metadata.uid || derivedUid(key, now),
      creationTimestamp: metadata.creationTimestamp || formatTime(now),
    },
    involvedObject: { ...event.involvedObject, ...(fieldPath ? { fieldPath } : {}) },
    source: { component: SOURCE, host: node },
    reportingInstance: node,
  }
}
