// What every act stands on: the same visitors, and a book in which each moment is written as it happens.

import { setTimeout as sleep } from 'node:timers/promises'
import { startLoad, type Question, type RequestRecord } from '../bench/failover/load.ts'
import { CALM_MS, PATIENCE_MS, PER_SECOND, QUESTION, type Reaction } from './assumptions.ts'
import type { Act, ActName, Moment } from './story.ts'

export interface Stage {
  /** Scratch folder of the story: logs. */
  folder: string
  /** Above 1: people react that many times faster. */
  faster: number
  /** Hears each moment as it happens. */
  tell(act: ActName, moment: Moment): void
  /** Aborted: everything is to end. */
  signal: AbortSignal
  /** Called in the end, whatever happens, the last first. */
  onEnd(end: () => Promise<void>): void
}

/** Where visitors go. */
export interface Site {
  url: string
  headers?: Readonly<Record<string, string>>
}

export interface Book {
  readonly moments: Moment[]
  write(moment: Omit<Moment, 'at'>): void
  /** Writes it down, and causes it. */
  breaks(moment: Fault, cause: () => Promise<void>): Promise<void>
}

type Fault = Pick<Moment, 'what' | 'command'> & Required<Pick<Moment, 'breaks'>>

const UP_MS = 60_000

export function openBook(stage: Stage, act: ActName): Book {
  const moments: Moment[] = []
  const write = (moment: Omit<Moment, 'at'>): Moment => {
    const written = { at: Date.now(), ...moment }
    moments.push(written)
    stage.tell(act, written)
    return written
  }
  return {
    moments,
    write: (moment) => void write(moment),
    async breaks(fault, cause) {
      const written = write({ who: 'fault', ...fault })
      await cause()
      written.until = Date.now()
    },
  }
}

/** Visitors come, `play` happens, and calm before and after it. */
export async function underLoad(
  stage: Stage,
  { name, site }: { name: ActName; site: Site },
  play: (book: Book) => Promise<void>,
): Promise<Pick<Act, 'name' | 'startedAt' | 'moments' | 'records'>> {
  await untilAnswered(stage, site)
  const book = openBook(stage, name)
  const startedAt = Date.now()
  const load = startLoad(questionTo(site), PER_SECOND)
  try {
    await calm(stage)
    await play(book)
    await calm(stage)
  } finally {
    await load.stop()
  }
  const records = [...load.records].sort(bySending)
  return { name, startedAt, moments: book.moments, records }
}

function questionTo({ url, headers }: Site): Question {
  return {
    url: `${url}${QUESTION.path}`,
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: QUESTION.body,
    patienceMs: PATIENCE_MS,
  }
}

export function calm(stage: Stage): Promise<void> {
  return sleep(CALM_MS, undefined, { signal: stage.signal })
}

/** A person, played: takes the time that was assumed, says so, and then does it. */
export async function react(
  stage: Stage,
  book: Book,
  { afterMs, what }: Reaction,
  command?: string,
): Promise<void> {
  await sleep(afterMs / stage.faster, undefined, { signal: stage.signal })
  book.write({ who: 'person', what, ...(command ? { command } : {}) })
}

/** A second of visitors, all answered. */
async function untilAnswered(stage: Stage, site: Site): Promise<void> {
  const deadline = Date.now() + UP_MS
  for (;;) {
    const some = startLoad(questionTo(site), PER_SECOND)
    await sleep(1000, undefined, { signal: stage.signal })
    await some.stop()
    const failure = some.records.find((record) => record.failure)?.failure
    if (some.records.length > 0 && !failure) return
    if (Date.now() > deadline) throw new Error(`${site.url} does not answer: ${failure}`)
  }
}

function bySending(left: RequestRecord, right: RequestRecord): number {
  return left.sentAt - right.sentAt
}
