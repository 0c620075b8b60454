// What the parts of the Firestore driver share: the connection, deadlines, the server's clock, what
// was committed lately, and the count of what all of it costs.

import type { DocumentSnapshot, Query, QuerySnapshot } from '@google-cloud/firestore'
import { unavailable, within } from '#shared/deadline.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { StoreUsage } from '#shared/ports/store.ts'
import { partCount, unpackContent } from './firestore-content.ts'
import { microsOf, partPath, refsOf } from './firestore-layout.ts'
import type { FirestoreConnection, WireWrite, WriteOutcome } from './open-firestore.ts'
import { OwnCommits } from './own-commits.ts'

export interface SessionOptions {
  connection: FirestoreConnection
  clock: Clock
  log: Log
  /** How long one call may take, and one commit with all its retries. */
  deadlineMs: number
  /** How much time a segment of the log covers. */
  segmentMs: number
  /** How long a revision's server time may be before the commit that it belongs to is visible. */
  overlapMs: number
  /** Revisions younger than this are never trimmed, so that readers need not ask. */
  keepMs: number
}

/** gRPC's codes, by the names this driver uses. */
export const GRPC = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
} as const

const TRANSIENT: ReadonlySet<number> = new Set([
  GRPC.cancelled,
  GRPC.unknown,
  GRPC.deadlineExceeded,
  GRPC.resourceExhausted,
  GRPC.aborted,
  GRPC.internal,
  GRPC.unavailable,
])

/** The gRPC code of a failure; undefined when it has none. */
export function codeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

export class FirestoreSession {
  readonly options: SessionOptions
  readonly usage: StoreUsage = { reads: 0, writes: 0, deletes: 0 }
  readonly own: OwnCommits
  #clockOffsetMs = 0

  constructor(options: SessionOptions) {
    this.options = options
    this.own = new OwnCommits(4 * options.overlapMs)
  }

  /** The server's time as far as known: segments are chosen and left by it. */
  serverNow(): number {
    return this.options.clock.now() + this.#clockOffsetMs
  }

  /** Called with every time the server tells. */
  learnTime(micros: number): void {
    this.#clockOffsetMs = Math.round(micros / 1000) - this.options.clock.now()
  }

  /** An answer in time, or ServiceUnavailable. Other refusals are bugs, and stay what they are. */
  async ask<T>(what: string, work: Promise<T>): Promise<T> {
    const { clock, deadlineMs } = this.options
    try {
      return await within(clock, deadlineMs, what, work)
    } catch (error) {
      const code = codeOf(error)
      if (code !== undefined && TRANSIENT.has(code)) throw unavailable(`${what} failed`, error)
      throw error
    }
  }

  async query(what: string, query: Query): Promise<QuerySnapshot> {
    const snapshot = await this.#read(what, () => query.get())
    this.usage.reads += Math.max(1, snapshot.size)
    this.learnTime(microsOf(snapshot.readTime))
    return snapshot
  }

  async count(what: string, query: Query): Promise<{ count: number; readMicros: number }> {
    const snapshot = await this.#read(what, () => query.count().get())
    const { count } = snapshot.data()
    this.usage.reads += Math.max(1, Math.ceil(count / 1000))
    return { count, readMicros: microsOf(snapshot.readTime) }
  }

  /** Documents by path, in order, with all their fields or some. */
  async read(what: string, paths: string[], fieldMask?: string[]): Promise<DocumentSnapshot[]> {
    if (paths.length === 0) return []
    const { firestore } = this.options.connection
    const refs = refsOf(firestore, paths)
    const snapshots = await this.#read(what, () =>
      fieldMask ? firestore.getAll(...refs, { fieldMask }) : firestore.getAll(...refs),
    )
    this.usage.reads += paths.length
    return snapshots
  }

  /** The value in a document, read together with its parts if it has some. */
  async contentOf(path: string, fields: Record<string, unknown>): Promise<unknown> {
    const paths = Array.from({ length: partCount(fields) }, (_, part) => partPath(path, part))
    const parts = await this.read(`reading the parts of ${path}`, paths)
    return unpackContent(fields, parts.map(dataOf))
  }

  /** One commit that may be repeated without harm. */
  async write(what: string, writes: WireWrite[]): Promise<WriteOutcome[]> {
    const { connection, deadlineMs } = this.options
    const outcomes = await this.ask(what, connection.commit(writes, deadlineMs))
    this.countWrites(writes)
    return outcomes
  }

  #read<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.ask(what, this.options.connection.read(work))
  }

  countWrites(writes: readonly WireWrite[]): void {
    for (const write of writes) {
      if ('delete' in write) this.usage.deletes++
      else this.usage.writes++
    }
  }

  /** A document's full name, as writes want it. */
  nameOf(path: string): string {
    return `${this.options.connection.root}/${path}`
  }
}

/** The bytes that a part holds. */
export function dataOf(snapshot: DocumentSnapshot): Uint8Array {
  const data: unknown = snapshot.get('data')
  if (data instanceof Uint8Array) return data
  throw new Error(`${snapshot.ref.path} is missing or holds no data`)
}
