// What is kept for a time only: it goes together with the next commit, never alone.

import { outlivedWords } from '../api/last-words.ts'
import type { Reader } from '../view/reader.ts'
import { expireEvents } from './event-ttl.ts'
import type { PlannedWrite } from './outcome.ts'

/** Removals of what has expired; the engine asks for them when it has something to commit. */
export function housekeeping(reader: Reader, now: number): PlannedWrite[] {
  const words = outlivedWords(reader, now)
  return [
    ...expireEvents(reader, now),
    ...words.map((key): PlannedWrite => ({ do: 'remove', key })),
  ]
}
