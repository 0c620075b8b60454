// Turns what controllers have to say into core/v1 Events. Names are derived from the content, so that
// the same news twice is one Event that is counted up.

import type { KubeEvent } from '../api/event.ts'
import type { KubeObject } from '../api/meta.ts'
import { derivedUid } from '../hash.ts'
import { keyOf } from '../key.ts'
import type { Key } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { draftMeta, withMeta } from './draft.ts'
import type { EventDraft } from './outcome.ts'

/** The key under which an Event with this content is kept. */
export function eventKey(draft: EventDraft): Key {
  return keyOf('events', namespaceOf(draft.about), eventName(draft))
}

/** The Event to store: a new one, or the one that is there, counted up. */
export function recordEvent(reader: Reader, draft: EventDraft, now: number): KubeEvent {
  const time = formatTime(now)
  const known = reader.get(eventKey(draft)) as KubeEvent | undefined
  if (known) return { ...known, count: (known.count ?? 1) + 1, lastTimestamp: time }
  const { about, type, reason, message, source } = draft
  const { name, namespace, uid, resourceVersion } = about.metadata
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: draftMeta({ name: eventName(draft), namespace: namespaceOf(about) }),
    involvedObject: {
      kind: about.kind,
      ...(namespace ? { namespace } : {}),
      name,
      uid,
      apiVersion: about.apiVersion,
      ...(resourceVersion ? { resourceVersion } : {}),
    },
    reason,
    message,
    source: { component: source },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
    type,
    eventTime: null,
    reportingComponent: source,
    reportingInstance: '',
  }
}

/** The draft about the object as it is in the reader: what was just created has its uid there. */
export function aboutCurrent(reader: Reader, draft: EventDraft, key: Key): EventDraft {
  if (draft.about.metadata.uid) return draft
  const uid = reader.get(key)?.metadata.uid
  return uid ? { ...draft, about: withMeta(draft.about, { uid }) } : draft
}

/** `web-1.17a2b3c4d5e6f708`, as Kubernetes' names with a time look. */
function eventName({ about, type, reason, message, source }: EventDraft): string {
  const hash = derivedUid(about.metadata.uid, about.metadata.name, type, reason, message, source)
  return `${about.metadata.name}.${hash.replaceAll('-', '').slice(0, 16)}`
}

/** Events about cluster-scoped objects are kept in `default`. */
function namespaceOf(about: KubeObject): string {
  return about.metadata.namespace ?? 'default'
}
