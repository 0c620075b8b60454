// Tells the API what is new, and only that, in as few reports as possible: news of one moment go
// together, a pod that is about to be ready is told once, events ride along with statuses.

import type {
  GrownVolume,
  NodeEvent,
  NodeReport,
  PodReport,
  ReportAnswer,
} from '#shared/api/agent-wire.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod, PodStatus } from '#shared/api/pod.ts'
import { isEqual } from '#shared/equal.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Version } from '#shared/ports/store.ts'
import type { PodNews } from '../pods/node-context.ts'
import { ApiError } from './api-client.ts'
import { createEventGate } from './event-gate.ts'
import { untilDone } from './retry.ts'

export interface ReporterOptions {
  send: (report: NodeReport) => Promise<ReportAnswer>
  log: Log
  signal: AbortSignal
  now: () => number
  /** Pods of a report that are not this node's any more. */
  onUnknown: (pods: ReportAnswer['unknown']) => void
}

/** News wait this long for company. */
const TOGETHER_MS = 75
/** That a pod is ready is what people wait for: told at once when no other is about to be. */
const READY_MS = 10
/** A pod whose first probe is still out waits at most this long. */
const SETTLE_MS = 1000
/** Events alone wait longer: a status usually follows. */
const EVENTS_MS = 1100
const EVENTS_MAX = 500
/** Last words in one report (bytes): the API takes 3 MiB, and writes each text three times. */
const WORDS_MAX = 512 * 1024

interface Batch {
  report: NodeReport
  news: PodNews[]
  waiting: InUse['waiting']
}

interface Pending {
  news: PodNews
  dueAt: number
}

/** What is to be told of volumes, and who waits for that to be known. */
interface InUse {
  names: string[]
  waiting: {
    taken: (version: Version | undefined) => void
    refused: (error: unknown) => void
  }[]
}

export class Reporter {
  readonly #options: ReporterOptions
  readonly #told = new Map<string, PodStatus>()
  readonly #pending = new Map<string, Pending>()
  readonly #gone = new Set<string>()
  readonly #retold = new Map<string, string>()
  readonly #gate = createEventGate()
  #events: { event: NodeEvent; dueAt: number }[] = []
  #inUse: InUse | undefined
  #grown: GrownVolume[] = []
  #node: Node | undefined
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity
  #isSending = false
  /** The API has taken the Node at least once. */
  #isNodeTold = false
  /** The newest version that one of our reports made. */
  #version: Version = ''

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  /** The Node is told at once. */
  tellNode(node: Node): void {
    this.#node = node
    this.#schedule(0)
  }

  tellPod(news: PodNews): void {
    const { uid } = news
    if (this.#gone.has(uid)) return
    const told = this.#told.get(uid)
    // While a report is under way nobody knows yet what the API was told.
    const before = this.#pending.get(uid)
    const lastWords = { ...before?.news.lastWords, ...news.lastWords }
    const isOld = told && isEqual(told, news.status) && !hasWords(lastWords)
    if (!news.isGone && !this.#isSending && isOld) {
      this.#pending.delete(uid)
      return
    }
    const now = this.#options.now()
    const wait = news.isSettling ? SETTLE_MS : this.#companyMs(news)
    const dueAt = Math.min(before?.dueAt ?? Infinity, now + wait)
    this.#pending.set(uid, { news: { ...news, lastWords }, dueAt })
    this.#schedule(dueAt - now)
  }

  #companyMs({ uid, status }: PodNews): number {
    if (conditionOf({ status }, 'Ready')?.status !== 'True') return TOGETHER_MS
    const others = [...this.#pending].some(([other, { news }]) => other !== uid && news.isSettling)
    return others ? TOGETHER_MS : READY_MS
  }

  tellEvent(event: NodeEvent): void {
    const now = this.#options.now()
    if (!this.#gate.admit(event, now)) return
    if (this.#events.length >= EVENTS_MAX) this.#events.shift()
    this.#events.push({ event, dueAt: now + EVENTS_MS })
    this.#schedule(EVENTS_MS)
  }

  /** Volumes in use are told at once; resolves with the version that came of it, if any did. */
  tellInUse(names: readonly string[]): Promise<Version | undefined> {
    return new Promise((taken, refused) => {
      this.#inUse = {
        names: [...names],
        waiting: [...(this.#inUse?.waiting ?? []), { taken, refused }],
      }
      this.#schedule(0)
    })
  }

  /** A file system has grown. */
  tellGrown(news: GrownVolume): void {
    this.#grown.push(news)
    this.#schedule(TOGETHER_MS)
  }

  /** True when a state of this version should hold the Node, because the API was told it before. */
  hasToldNode(version: Version): boolean {
    return this.#isNodeTold && !this.#node && !this.#isSending && version >= this.#version
  }

  /** True when the API has taken the news that this pod is gone. */
  isGoneTold(uid: string): boolean {
    return this.#gone.has(uid)
  }

  /**
   * Compares what the API has stored (as of `version`) with what it was told: somebody else may have
   * changed it (a pod of a node that was thought dead). What differs is told once more.
   */
  compare(pods: readonly Pod[], version: Version): void {
    if (version < this.#version || this.#isSending) return
    for (const { metadata, status } of pods) {
      const told = this.#told.get(metadata.uid)
      if (!told || this.#pending.has(metadata.uid) || isSameInShort(told, status)) continue
      // Once for each stored version: what the API will not keep is not told for ever.
      if (this.#retold.get(metadata.uid) === metadata.resourceVersion) continue
      this.#retold.set(metadata.uid, metadata.resourceVersion ?? '')
      this.#told.delete(metadata.uid)
      const { namespace = '', name, uid } = metadata
      this.tellPod({ namespace, name, uid, status: told, isGone: false, isSettling: false })
    }
  }

  /** Forgets a pod that was disposed of. */
  forget(uid: string): void {
    this.#told.delete(uid)
    this.#pending.delete(uid)
    this.#gone.delete(uid)
    this.#retold.delete(uid)
  }

  #schedule(ms: number): void {
    const at = this.#options.now() + ms
    if (at >= this.#timerAt || this.#isSending || this.#options.signal.aborted) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(() => void this.#flush(), Math.max(0, ms))
  }

  async #flush(): Promise<void> {
    this.#timerAt = Infinity
    if (this.#isSending) return
    const { log, signal, send } = this.#options
    const batch = this.#take()
    if (batch) {
      this.#isSending = true
      try {
        const call = (): Promise<ReportAnswer> => send(batch.report)
        const answer = await untilDone('the report', call, log, signal, isRefusal)
        if (batch.report.node) this.#isNodeTold = true
        this.#taken(batch.news, answer)
        for (const { taken } of batch.waiting) taken(answer.version)
      } catch (error) {
        for (const { refused } of batch.waiting) refused(error)
        if (!signal.aborted) log.error('the API refuses a report', { error })
      }
      this.#isSending = false
    }
    this.#scheduleRest()
  }

  /** What is due, with everything that is ready to go along. */
  #take(): Batch | undefined {
    const now = this.#options.now()
    // A timer may come a moment early.
    const isDue = ({ dueAt }: { dueAt: number }): boolean => dueAt <= now + 1
    const pending = [...this.#pending.values()]
    const hasOther = this.#node !== undefined || this.#inUse !== undefined || this.#grown.length > 0
    if (!hasOther && !pending.some(isDue) && !this.#events.some(isDue)) return undefined
    const ready = pending
      .filter((each) => isDue(each) || !each.news.isSettling)
      .map((each) => each.news)
    let bytes = 0
    // What does not fit goes with the next report: the first one always fits.
    const news = ready.filter((each, index) => {
      const more = wordsBytes(each)
      const fits = index === 0 || more === 0 || bytes + more <= WORDS_MAX
      if (fits) bytes += more
      return fits
    })
    for (const { uid } of news) this.#pending.delete(uid)
    // Events of a pod whose status is still to come go with that status.
    const [later, events] = partition(
      this.#events,
      (each) => !isDue(each) && this.#pending.has(each.event.pod?.uid ?? ''),
    )
    this.#events = later
    const report: NodeReport = {
      ...(this.#node ? { node: this.#node } : {}),
      ...(news.length > 0 ? { pods: news.map(reportOf) } : {}),
      ...(events.length > 0 ? { events: events.map(({ event }) => event) } : {}),
      ...(this.#inUse ? { volumesInUse: this.#inUse.names } : {}),
      ...(this.#grown.length > 0 ? { grown: this.#grown } : {}),
    }
    const waiting = this.#inUse?.waiting ?? []
    this.#node = undefined
    this.#inUse = undefined
    this.#grown = []
    return { report, news, waiting }
  }

  #taken(news: readonly PodNews[], answer: ReportAnswer): void {
    if (answer.version && answer.version > this.#version) this.#version = answer.version
    for (const { uid, status, isGone } of news) {
      if (isGone) this.#gone.add(uid)
      this.#told.set(uid, status)
      const pending = this.#pending.get(uid)
      const isSame =
        pending && isEqual(pending.news.status, status) && !hasWords(pending.news.lastWords)
      if (isSame && !pending.news.isGone) {
        this.#pending.delete(uid)
      }
    }
    if (answer.unknown.length > 0) this.#options.onUnknown(answer.unknown)
  }

  #scheduleRest(): void {
    const times = [...this.#pending.values(), ...this.#events].map(({ dueAt }) => dueAt)
    if (this.#node || this.#inUse || this.#grown.length > 0) times.push(0)
    if (times.length > 0) this.#schedule(Math.max(0, Math.min(...times) - this.#options.now()))
  }
}

/** Sending it again would not help. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && [400, 413, 415, 422].includes(error.status)
}

function reportOf({ namespace, name, uid, status, isGone, lastWords }: PodNews): PodReport {
  return {
    namespace,
    name,
    uid,
    status,
    ...(isGone ? { isGone } : {}),
    ...(lastWords && hasWords(lastWords) ? { lastWords } : {}),
  }
}

function hasWords(lastWords: PodNews['lastWords']): boolean {
  return Object.keys(lastWords ?? {}).length > 0
}

/** As they travel: what is no printable character takes six. */
function wordsBytes({ lastWords }: PodNews): number {
  return hasWords(lastWords) ? Buffer.byteLength(JSON.stringify(lastWords)) : 0
}

/** What others act on: phase, readiness, restarts. */
function isSameInShort(a: PodStatus, b: PodStatus | undefined): boolean {
  return isEqual(short(a), short(b))
}

function short(status: PodStatus | undefined): unknown {
  return {
    phase: status?.phase,
    podIP: status?.podIP,
    conditions: (status?.conditions ?? [])
      .filter(({ type }) => type === 'Ready' || type === 'ContainersReady')
      .map(({ type, status: word }) => `${type}=${word}`)
      .sort(),
    containers: (status?.containerStatuses ?? []).map(({ name, ready, restartCount }) => ({
      name,
      ready,
      restartCount,
    })),
  }
}

function partition<T>(list: readonly T[], test: (each: T) => boolean): [T[], T[]] {
  return [list.filter(test), list.filter((each) => !test(each))]
}
