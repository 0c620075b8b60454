// Following a cluster's log: one listener on the newest few revisions of the current segment. Only
// a few, because the emulator sends a listener's whole result again for every change; more than one,
// because a revision may become visible after another one with a later time.

import type { DocumentChange, QuerySnapshot } from '@google-cloud/firestore'
import { within } from '#shared/deadline.ts'
import type { Version } from '#shared/ports/store.ts'
import { segmentAt } from './firestore-layout.ts'
import { newestQuery } from './firestore-queries.ts'
import { snapshotVersion } from './firestore-revision.ts'
import type { FirestoreSession } from './firestore-session.ts'

const NEWEST = 10
// The next segment is listened to before the first writer can get there, and the old one until the
// last one must have left it.
const ENTER_EARLY_MS = 15_000
const LEAVE_LATE_MS = 45_000
const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 30_000

type OnChange = (version?: Version) => void

/** Store.follow: resolves when the listener hears. */
export async function followLog(
  session: FirestoreSession,
  cluster: string,
  onChange: OnChange,
): Promise<() => Promise<void>> {
  const ended = new AbortController()
  const { clock, deadlineMs, overlapMs } = session.options
  const poke: OnChange = (version) => {
    if (!ended.signal.aborted) onChange(version)
  }
  const open = new Set<SegmentListener>()
  ended.signal.addEventListener('abort', () => {
    for (const listener of open) listener.close()
  })
  try {
    // What is older is read by catching up once the listener hears.
    const now = session.serverNow()
    const first = new SegmentListener(session, cluster, now, now - overlapMs, poke)
    open.add(first)
    await within(clock, deadlineMs, 'following the log', first.ready)
    void moveOn(session, cluster, open, poke, ended.signal)
  } catch (error) {
    ended.abort()
    throw error
  }
  // oxlint-disable-next-line typescript/require-await
  return async () => ended.abort()
}

/** Opens the listener on each next segment in time, and closes the last one when it is silent. */
async function moveOn(
  session: FirestoreSession,
  cluster: string,
  open: Set<SegmentListener>,
  poke: OnChange,
  ended: AbortSignal,
): Promise<void> {
  const { clock, segmentMs } = session.options
  for (const current of open) {
    const boundary = (Math.floor(current.atMs / segmentMs) + 1) * segmentMs
    await clock.sleep(boundary - ENTER_EARLY_MS - session.serverNow(), ended)
    if (ended.aborted) return
    // It comes last in the set: the loop goes on with it. After a pause of the whole process
    // segments may have been left out.
    const nextMs = Math.max(boundary, session.serverNow())
    open.add(new SegmentListener(session, cluster, nextMs, 0, poke))
    await clock.sleep(boundary + LEAVE_LATE_MS - session.serverNow(), ended)
    current.close()
    open.delete(current)
  }
}

/** The listener on one segment; it comes back by itself after failures. */
class SegmentListener {
  /** Some time within the segment. */
  readonly atMs: number
  /** Resolves with the first answer. */
  readonly ready: Promise<void>
  readonly #session: FirestoreSession
  readonly #cluster: string
  readonly #fromMs: number
  readonly #poke: OnChange
  readonly #closed = new AbortController()
  #hear: () => void = () => undefined
  #unsubscribe: () => void = () => undefined
  #failures = 0

  /** Listens for what is requested at `fromMs` or later. */
  constructor(
    session: FirestoreSession,
    cluster: string,
    atMs: number,
    fromMs: number,
    poke: OnChange,
  ) {
    this.#session = session
    this.#cluster = cluster
    this.#fromMs = fromMs
    this.atMs = atMs
    this.#poke = poke
    this.ready = new Promise((resolve) => {
      this.#hear = resolve
    })
    this.#open(false)
  }

  close(): void {
    this.#closed.abort()
    this.#unsubscribe()
  }

  #open(isAgain: boolean): void {
    const { connection, segmentMs } = this.#session.options
    const segment = segmentAt(this.atMs, segmentMs)
    const stretch = { fromMs: this.#fromMs }
    const query = newestQuery(connection.firestore, this.#cluster, segment, stretch)
    let isFirst = true
    this.#unsubscribe = query.limit(NEWEST).onSnapshot(
      (snapshot) => {
        this.#failures = 0
        this.#heard(snapshot, isFirst && isAgain)
        isFirst = false
      },
      (error) => void this.#reopen(error),
    )
  }

  #heard(snapshot: QuerySnapshot, isAgain: boolean): void {
    const changes = snapshot.docChanges().filter((change) => change.type !== 'removed')
    this.#session.usage.reads += changes.length > 0 ? changes.length : snapshot.empty ? 1 : 0
    this.#hear()
    if (isAgain) this.#poke()
    else if (changes.length > 0) this.#poke(newestOf(changes))
  }

  async #reopen(error: unknown): Promise<void> {
    const { clock, log } = this.#session.options
    if (this.#closed.signal.aborted) return
    log.warn('the listener on the log broke off', { cluster: this.#cluster, error })
    const pauseMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures++)
    await clock.sleep(pauseMs, this.#closed.signal)
    if (!this.#closed.signal.aborted) this.#open(true)
  }
}

function newestOf(changes: DocumentChange[]): Version {
  const versions = changes.map((change) => snapshotVersion(change.doc))
  return versions.reduce((newest, version) => (version > newest ? version : newest))
}
