// Events are kept for an hour. Those that are older go together with the next commit, never alone: an
// idle cluster writes nothing.

import { EVENT_TTL_MS } from '../api/event.ts'
import type { KubeEvent } from '../api/event.ts'
import { keyOf } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import type { PlannedWrite } from './outcome.ts'

/** How many go with one commit. */
const EXPIRED_MAX = 100

/** Removals of the expired Events; the engine asks for them when it has something to commit. */
export function expireEvents(reader: Reader, now: number): PlannedWrite[] {
  // Times are texts of one form, so that they compare as they are.
  const oldest = formatTime(now - EVENT_TTL_MS)
  const removals: PlannedWrite[] = []
  for (const object of reader.list('events')) {
    if (lastSeen(object as KubeEvent) >= oldest) continue
    const { namespace, name } = object.metadata
    removals.push({ do: 'remove', key: keyOf('events', namespace, name) })
    if (removals.length >= EXPIRED_MAX) break
  }
  return removals
}

function lastSeen({ metadata, lastTimestamp, series }: KubeEvent): string {
  const times = [metadata.creationTimestamp, lastTimestamp ?? '', series?.lastObservedTime ?? '']
  return times.reduce((latest, time) => (time > latest ? time : latest))
}
