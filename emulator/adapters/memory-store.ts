// The Store in this process's memory: for tests, simulation, and a start without the Firestore
// emulator. Deterministic: same clock, same calls, same versions and same costs. It counts what
// Firestore would bill (functions/adapters/firestore-store.ts), so that a ledger holds for both.

import { planWrites } from '#functions/adapters/firestore-plan.ts'
import { contentOfCommit } from '#functions/adapters/revision-content.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Key } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import {
  logExpired,
  promisedBefore,
  refuseSenseless,
  staleWrite,
} from '#shared/ports/store-rules.ts'
import { NO_VERSION, OBJECT_BYTES_MAX } from '#shared/ports/store.ts'
import type {
  Change,
  Checkpoint,
  ClusterChange,
  Commit,
  CountedStore,
  Cursor,
  Revision,
  StoreUsage,
  Tail,
  Version,
} from '#shared/ports/store.ts'
import { frozenCopy } from '#shared/view/frozen.ts'

// As long as a reader of Firestore's log looks back for late arrivals: a catch-up within this time
// after the last revision costs a count beside what is new.
const OVERLAP_MICROS = 15_000_000

interface LogEntry {
  revision: Revision
  /** Which handle committed it: that one need not pay to read it back. */
  writer: object
}

interface MemoryCluster {
  objects: Map<Key, KubeObject>
  log: LogEntry[]
  /** How many revisions were trimmed from the front, and the version of the last of them. */
  trimmed: number
  trimmedTo: Version
  checkpoint?: Checkpoint
  followers: Set<(version: Version) => void>
}

/** What several handles (as of several processes) share. */
export interface MemoryData {
  clusters: Map<string, MemoryCluster>
  lastMicros: number
}

/** An empty database to open handles on. */
export function createMemoryData(): MemoryData {
  return { clusters: new Map(), lastMicros: 0 }
}

/** A handle of its own database, or of one that others use too. */
export function createMemoryStore(options: { clock: Clock; data?: MemoryData }): CountedStore {
  return new MemoryStore(options.clock, options.data ?? createMemoryData())
}

class MemoryStore implements CountedStore {
  readonly #clock: Clock
  readonly #data: MemoryData
  readonly #usage: StoreUsage = { reads: 0, writes: 0, deletes: 0 }

  constructor(clock: Clock, data: MemoryData) {
    this.#clock = clock
    this.#data = data
  }

  usage(): StoreUsage {
    return { ...this.#usage }
  }

  // Every method is async so that a refusal is a rejection, and so that nobody can depend on an
  // answer within the same tick.
  // oxlint-disable-next-line typescript/require-await
  async commit(cluster: string, commit: Commit): Promise<Revision> {
    refuseSenseless(commit)
    const state = this.#cluster(cluster)
    this.#refuseStale(state, commit)
    refuseOversize(state, cluster, commit)
    const version = this.#nextVersion()
    const changes: Change[] = commit.writes.map(({ key, object }) => {
      const before = state.objects.get(key)
      return {
        key,
        ...(before ? { before } : {}),
        ...(object ? { after: withVersion(object, version) } : {}),
      }
    })
    const revision = frozenCopy<Revision>({
      id: commit.id,
      version,
      cause: commit.cause,
      changes,
      decisions: commit.decisions ?? [],
      ...(commit.requeueAtMs === undefined ? {} : { requeueAtMs: commit.requeueAtMs }),
    })
    for (const { key, after } of revision.changes) {
      if (after) state.objects.set(key, after)
      else state.objects.delete(key)
    }
    state.log.push({ revision, writer: this })
    const removed = commit.writes.filter((write) => write.object === null).length
    this.#usage.writes += commit.writes.length - removed + 1
    this.#usage.deletes += removed
    for (const onChange of state.followers) queueMicrotask(() => onChange(version))
    return revision
  }

  /** Costs what the look at the documents costs: befores nobody promised, and the search for why. */
  #refuseStale(state: MemoryCluster, commit: Commit): void {
    const current = (key: Key): Version | undefined =>
      state.objects.get(key)?.metadata.resourceVersion
    const unpromised = commit.writes.filter(
      (write) => write.expect !== null && !promisedBefore(write),
    )
    this.#usage.reads += unpromised.length
    for (const write of unpromised) {
      const stale = staleWrite(write, current(write.key))
      if (stale) throw stale
    }
    for (const write of commit.writes) {
      const stale = staleWrite(write, current(write.key))
      if (!stale) continue
      this.#usage.reads += commit.writes.length + 1
      throw stale
    }
  }

  // oxlint-disable-next-line typescript/require-await
  async get(cluster: string, key: Key): Promise<KubeObject | undefined> {
    this.#usage.reads++
    return this.#data.clusters.get(cluster)?.objects.get(key)
  }

  // oxlint-disable-next-line typescript/require-await
  async readCheckpoint(cluster: string): Promise<Checkpoint | undefined> {
    const checkpoint = this.#data.clusters.get(cluster)?.checkpoint
    this.#usage.reads += checkpoint ? 1 + partsOf(checkpoint) : 1
    return checkpoint
  }

  // oxlint-disable-next-line typescript/require-await
  async writeCheckpoint(cluster: string, checkpoint: Checkpoint): Promise<void> {
    const state = this.#cluster(cluster)
    this.#usage.reads++
    const old = state.checkpoint
    if (old && old.version >= checkpoint.version) return
    this.#usage.reads += Math.max(1, old ? partsOf(old) : 0)
    this.#usage.writes += 1 + partsOf(checkpoint)
    if (old) this.#usage.deletes += partsOf(old)
    state.checkpoint = frozenCopy(checkpoint)
  }

  // oxlint-disable-next-line typescript/require-await
  async revisions(cluster: string, cursor: Cursor | undefined): Promise<Tail> {
    const state = this.#data.clusters.get(cluster)
    const log = state?.log ?? []
    const trimmed = state?.trimmed ?? 0
    const now = Math.max(this.#clock.now() * 1000, this.#data.lastMicros)
    const from = state ? placeOf(state, cursor) : { position: 0, micros: 0 }
    if (from.position < trimmed) throw logExpired()
    const news = log.slice(from.position - trimmed)
    this.#usage.reads += this.#costOfReading(news, log[from.position - trimmed - 1], from.micros)
    return {
      revisions: news.map((entry) => entry.revision),
      cursor: JSON.stringify({ position: trimmed + log.length, micros: now }),
    }
  }

  /** What a reader at `fromMicros`, whose newest known revision is `last`, pays for the rest. */
  #costOfReading(news: LogEntry[], last: LogEntry | undefined, fromMicros: number): number {
    const windowStart = fromMicros - OVERLAP_MICROS
    const knowsRecent = last !== undefined && Number(last.revision.version) >= windowStart
    const own = news.filter((entry) => entry.writer === this).length
    if (fromMicros === 0 || (!knowsRecent && own === 0)) return Math.max(1, news.length)
    return own === news.length ? 1 : 1 + news.length
  }

  // oxlint-disable-next-line typescript/require-await
  async follow(
    cluster: string,
    onChange: (version?: Version) => void,
  ): Promise<() => Promise<void>> {
    const { followers } = this.#cluster(cluster)
    // A function of its own, so that one listener may follow twice.
    const poke = (version: Version): void => {
      if (followers.has(poke)) onChange(version)
    }
    followers.add(poke)
    this.#usage.reads++
    // oxlint-disable-next-line typescript/require-await
    return async () => {
      followers.delete(poke)
    }
  }

  // oxlint-disable-next-line typescript/require-await
  async changedSince(sinceMs: number): Promise<ClusterChange[]> {
    const changes: ClusterChange[] = []
    let found = 0
    for (const [cluster, { log }] of this.#data.clusters) {
      const since = (micros: number): LogEntry[] =>
        log.filter(({ revision }) => Number(revision.version) >= micros)
      const news = since(sinceMs * 1000)
      const newest = news.at(-1)
      found += since(sinceMs * 1000 - OVERLAP_MICROS).length
      if (!newest) continue
      const due = news.flatMap(({ revision }) => revision.requeueAtMs ?? [])
      changes.push({
        cluster,
        version: newest.revision.version,
        ...(due.length > 0 ? { requeueAtMs: Math.min(...due) } : {}),
      })
    }
    this.#usage.reads += Math.max(1, found)
    return changes
  }

  // oxlint-disable-next-line typescript/require-await
  async trim(cluster: string, version: Version | undefined, limit: number): Promise<number> {
    const state = this.#data.clusters.get(cluster)
    if (!state) return 0
    if (version === undefined) return this.#drop(cluster, state, limit)
    const kept = state.log.findIndex((entry) => entry.revision.version >= version)
    const removed = Math.min(limit, kept < 0 ? state.log.length : kept)
    const gone = state.log.splice(0, removed)
    state.trimmed += removed
    state.trimmedTo = gone.at(-1)?.revision.version ?? state.trimmedTo
    this.#usage.reads += Math.max(1, removed)
    this.#usage.deletes += removed
    if (removed > 0) this.#usage.writes++
    return removed
  }

  #drop(cluster: string, state: MemoryCluster, limit: number): number {
    const revisions = state.log.splice(0, limit).length
    const keys = [...state.objects.keys()].slice(0, limit - revisions)
    for (const key of keys) state.objects.delete(key)
    const removed = revisions + keys.length
    state.trimmed += revisions
    this.#usage.reads += Math.max(1, removed)
    this.#usage.deletes += removed
    if (state.log.length > 0 || state.objects.size > 0) return removed
    delete state.checkpoint
    if (state.followers.size === 0) this.#data.clusters.delete(cluster)
    return removed
  }

  #cluster(name: string): MemoryCluster {
    let cluster = this.#data.clusters.get(name)
    if (!cluster) {
      cluster = {
        objects: new Map(),
        log: [],
        trimmed: 0,
        trimmedTo: NO_VERSION,
        followers: new Set(),
      }
      this.#data.clusters.set(name, cluster)
    }
    return cluster
  }

  #nextVersion(): Version {
    const micros = Math.max(this.#clock.now() * 1000, this.#data.lastMicros + 1)
    this.#data.lastMicros = micros
    return String(micros).padStart(16, '0')
  }
}

function withVersion(object: KubeObject, version: Version): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: version } }
}

/** As Firestore would: only what may be too large is measured as it would be stored. */
function refuseOversize(state: MemoryCluster, cluster: string, commit: Commit): void {
  const befores = new Map<Key, KubeObject>()
  let bytes = 0
  for (const { key, object } of commit.writes) {
    const before = state.objects.get(key)
    if (before) befores.set(key, before)
    bytes += JSON.stringify([object, object, before]).length
  }
  if (bytes * 3 < OBJECT_BYTES_MAX) return
  const content = contentOfCommit(commit, befores)
  planWrites({
    cluster,
    commit,
    content,
    befores,
    segment: '',
    revisionPath: '',
    nameOf: (path) => path,
  })
}

/** A checkpoint of anything takes one document beside its head here; big ones are not measured. */
function partsOf(checkpoint: Checkpoint): number {
  return checkpoint.objects.length > 0 ? 1 : 0
}

interface Place {
  /** How many revisions of the log, trimmed ones included, are behind the reader. */
  position: number
  /** When it read them; 0: it never did. */
  micros: number
}

function placeOf(state: MemoryCluster, cursor: Cursor | undefined): Place {
  if (cursor === undefined) return { position: state.trimmed, micros: 0 }
  if (!/^\d{16}$/.test(cursor)) return JSON.parse(cursor) as Place
  if (cursor < state.trimmedTo) throw logExpired()
  const next = state.log.findIndex((entry) => entry.revision.version > cursor)
  return {
    position: state.trimmed + (next < 0 ? state.log.length : next),
    micros: Number(cursor),
  }
}
