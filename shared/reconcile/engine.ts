// Runs pure controllers over one overlay until none of them wants anything more: the sum is one
// commit. See docs/architecture.md, "reconcile to a fixpoint, commit once".

import type { KubeObject } from '../api/meta.ts'
import { controllerOf } from '../api/owner.ts'
import { isEqual } from '../equal.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import type { Decision, Write } from '../ports/store.ts'
import { admitByQuota, hasQuotas } from '../quota/admission.ts'
import { isReason } from '../status.ts'
import { Overlay } from '../view/overlay.ts'
import type { Reader } from '../view/reader.ts'
import { keyOfObject, kindFacts } from './kinds.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { Limits } from './limits.ts'
import type { EventDraft, ObservedChange, Outcome, PlannedWrite, Reconciler } from './outcome.ts'
import { aboutCurrent, recordEvent } from './record-events.ts'
import { stamp } from './stamp.ts'
import { WorkQueue, workId } from './work-queue.ts'
import type { Work } from './work-queue.ts'

/** After a controller failed or would not come to rest, its key is looked at again this much later. */
const FAULT_RETRY_MS = 60_000

export interface FixpointInput {
  reader: Reader
  /** What happened since the last pass; for a start from nothing every object, `before` undefined. */
  changes?: Iterable<ObservedChange>
  /** What is to be looked at besides: due by time, or left over from the last pass. */
  work?: Iterable<Work>
  now: number
  /** In order of precedence: while the first has work, the others wait. */
  reconcilers: readonly Reconciler[]
  limits?: Partial<Limits>
  /** Asked once in the end if there is anything to commit: what may go with it. */
  housekeeping?(reader: Reader, now: number): PlannedWrite[]
}

/** Something that a person should hear of: a bug in a controller. */
export interface Fault {
  work: Work
  message: string
  error?: unknown
}

export interface Fixpoint {
  /** Everything to commit, at once. */
  writes: Write[]
  decisions: Decision[]
  /** What was recorded as Events; they are among the writes. */
  events: EventDraft[]
  /** The earliest time at which somebody must look again; `now` when `rest` is not empty. */
  requeueAtMs?: number
  /** All that was looked at, by workId, and when it must be looked at again. */
  looked: Map<string, Work & { atMs: number | undefined }>
  /** What was not reached for the limits. */
  rest: Work[]
  faults: Fault[]
}

/** Pure: the same input, the same answer. Bounded by `limits`, so it always ends. */
export function reconcileToFixpoint(input: FixpointInput): Fixpoint {
  const pass = new Pass(input)
  pass.run()
  return pass.result()
}

class Pass {
  readonly #input: FixpointInput
  readonly #limits: Limits
  readonly #overlay: Overlay
  readonly #queue: WorkQueue
  readonly #decisions: Decision[] = []
  readonly #events: EventDraft[] = []
  readonly #looked = new Map<string, Work & { atMs: number | undefined }>()
  readonly #runs = new Map<string, number>()
  readonly #faults: Fault[] = []
  #bytes = 0
  #steps = 0

  constructor(input: FixpointInput) {
    this.#input = input
    this.#limits = { ...DEFAULT_LIMITS, ...input.limits }
    this.#overlay = new Overlay(input.reader)
    this.#queue = new WorkQueue(input.reconcilers)
  }

  run(): void {
    for (const change of this.#input.changes ?? []) this.#wake(change)
    for (const work of this.#input.work ?? []) this.#queue.addWork(work)
    while (!this.#isFull()) {
      const next = this.#queue.take()
      if (!next) break
      this.#step(next.reconciler, next.key)
    }
    this.#recordEvents()
    if (this.#overlay.size > 0 && this.#input.housekeeping) {
      this.#apply(this.#input.housekeeping(this.#overlay, this.#input.now))
    }
  }

  result(): Fixpoint {
    const rest = this.#queue.rest()
    let requeueAtMs: number | undefined = rest.length > 0 ? this.#input.now : undefined
    for (const { atMs } of this.#looked.values()) {
      if (atMs !== undefined && (requeueAtMs === undefined || atMs < requeueAtMs)) {
        requeueAtMs = atMs
      }
    }
    return {
      writes: this.#overlay.writes(),
      decisions: this.#decisions,
      events: this.#events,
      ...(requeueAtMs === undefined ? {} : { requeueAtMs }),
      looked: this.#looked,
      rest,
      faults: this.#faults,
    }
  }

  #isFull(): boolean {
    return (
      this.#overlay.size + this.#events.length >= this.#limits.writes ||
      this.#bytes >= this.#limits.bytes ||
      this.#steps >= this.#limits.steps
    )
  }

  /** Half of what is left: the other half is for Events. */
  #room(): number {
    const left = this.#limits.writes - this.#overlay.size - this.#events.length
    return Math.max(1, Math.floor(left / 2))
  }

  #step(reconciler: Reconciler, key: Key): void {
    const { now } = this.#input
    const work = { reconciler: reconciler.name, key }
    const id = workId(work)
    this.#steps++
    const runs = (this.#runs.get(id) ?? 0) + 1
    this.#runs.set(id, runs)
    if (runs > this.#limits.stepsPerKey) {
      this.#fail(work, `did not come to rest after ${this.#limits.stepsPerKey} steps`)
      return
    }
    let outcome: Outcome
    try {
      outcome = reconciler.reconcile(this.#overlay, key, now, this.#room())
    } catch (error) {
      this.#fail(work, `failed: ${error instanceof Error ? error.message : String(error)}`, error)
      return
    }
    this.#looked.set(id, { ...work, atMs: outcome.requeueAtMs })
    const refusal = this.#refusalByQuota(outcome.writes)
    if (refusal) {
      this.#looked.set(id, { ...work, atMs: now + FAULT_RETRY_MS })
      this.#takeEvents(
        { writes: [], events: [failedCreate(this.#overlay, refusal, reconciler)] },
        false,
      )
      return
    }
    const { changes, isRefused } = this.#apply(outcome.writes)
    for (const change of changes) this.#wake(change)
    if (isRefused) return
    this.#decisions.push(...(outcome.decisions ?? []))
    this.#takeEvents(outcome, changes.length > 0)
    // Asked for "now": there is more of the same to do, and this pass has room for it.
    if (outcome.requeueAtMs !== undefined && outcome.requeueAtMs <= now) this.#queue.addWork(work)
  }

  #fail(work: Work, what: string, error?: unknown): void {
    const message = `${work.reconciler} ${what} on ${work.key}`
    this.#looked.set(workId(work), { ...work, atMs: this.#input.now + FAULT_RETRY_MS })
    this.#faults.push({ work, message, ...(error === undefined ? {} : { error }) })
    this.#decisions.push({ key: work.key, by: work.reconciler, text: message })
  }

  #wake(change: ObservedChange): void {
    for (const [index, reconciler] of this.#input.reconcilers.entries()) {
      for (const key of reconciler.wakes(change, this.#overlay)) this.#queue.add(index, key)
    }
  }

  /** Puts the wishes on the overlay, all or (when one is refused) none, and answers what changed. */
  #apply(writes: readonly PlannedWrite[]): { changes: ObservedChange[]; isRefused: boolean } {
    if (writes.some((write) => this.#isRefused(write))) return { changes: [], isRefused: true }
    const changes: ObservedChange[] = []
    for (const write of writes) {
      if (write.do === 'remove') {
        const before = this.#overlay.get(write.key)
        if (!before) continue
        this.#overlay.remove(write.key)
        changes.push({ key: write.key, before, after: undefined })
        continue
      }
      const key = keyOfObject(write.object)
      const before = this.#overlay.get(key)
      const after = this.#stamped(key, write.object, before)
      if (before && isEqual(before, after)) continue
      this.#bytes += JSON.stringify(after).length
      this.#overlay.put(key, after)
      changes.push({ key, before, after })
    }
    return { changes, isRefused: false }
  }

  #stamped(key: Key, object: KubeObject, current: KubeObject | undefined): KubeObject {
    const { reader, now } = this.#input
    return stamp(object, { reader: this.#overlay, key, now, current, base: reader.get(key) })
  }

  /**
   * As Kubernetes' ResourceQuota admission: the first new object for which its namespace has no room.
   * Controllers that make pods one by one ask before, and make as many as there is room for.
   */
  #refusalByQuota(writes: readonly PlannedWrite[]): QuotaRefusal | undefined {
    const creations = writes.flatMap((write) =>
      write.do === 'put' &&
      hasQuotas(this.#overlay, write.object.metadata.namespace) &&
      !this.#overlay.get(keyOfObject(write.object))
        ? [write.object]
        : [],
    )
    const scratch = new Overlay(this.#overlay)
    for (const object of creations) {
      const key = keyOfObject(object)
      const after = this.#stamped(key, object, undefined)
      const { resource, name } = splitKey(key)
      try {
        admitByQuota(scratch, { resource, name, after })
      } catch (error) {
        if (!isReason(error, 'Forbidden')) throw error
        return { object, message: error.message }
      }
      scratch.put(key, after)
    }
    return undefined
  }

  /** As Kubernetes' NamespaceLifecycle admission: nothing new in a namespace that is going. */
  #isRefused(write: PlannedWrite): boolean {
    if (write.do === 'remove' || !write.object.metadata.namespace) return false
    const name = write.object.metadata.namespace
    const namespace = this.#overlay.get(keyOf('namespaces', '', name))
    return (
      namespace?.metadata.deletionTimestamp !== undefined &&
      !this.#overlay.get(keyOfObject(write.object))
    )
  }

  /**
   * News of a step that changed something. Of one that changed nothing only what was never said, so
   * that a controller which is asked again does not repeat itself.
   */
  #takeEvents(outcome: Outcome, hasChanged: boolean): void {
    for (const draft of outcome.events ?? []) {
      const event = aboutCurrent(this.#overlay, draft, keyOfObject(draft.about))
      if (hasChanged || !this.#isKnown(event)) this.#events.push(event)
    }
  }

  #isKnown(draft: EventDraft): boolean {
    const isSame = (other: EventDraft): boolean =>
      other.about.metadata.uid === draft.about.metadata.uid &&
      other.reason === draft.reason &&
      other.message === draft.message
    if (this.#events.some(isSame)) return true
    const event = recordEvent(this.#overlay, draft, this.#input.now)
    return this.#overlay.get(keyOfObject(event)) !== undefined
  }

  #recordEvents(): void {
    for (const draft of this.#events) {
      const object = recordEvent(this.#overlay, draft, this.#input.now)
      this.#apply([{ do: 'put', object }])
    }
  }
}

interface QuotaRefusal {
  object: KubeObject
  message: string
}

/** What the owner of an object that could not be made has to say. */
function failedCreate(
  reader: Reader,
  { object, message }: QuotaRefusal,
  { name }: Reconciler,
): EventDraft {
  const owner = controllerOf(object)
  const facts = owner && kindFacts(owner.apiVersion, owner.kind)
  const about =
    owner && facts
      ? reader.get(keyOf(facts.resource, object.metadata.namespace, owner.name))
      : undefined
  return {
    about: about ?? object,
    type: 'Warning',
    reason: 'FailedCreate',
    message: `Error creating: ${message}`,
    source: `${name}-controller`,
  }
}

/** Every object of a cluster as a change from nothing: how a first pass is told what there is. */
export function* everything(
  reader: Reader,
  resources: readonly string[],
): Generator<ObservedChange> {
  for (const resource of resources) {
    for (const after of reader.list(resource)) {
      const key = keyOf(resource, after.metadata.namespace, after.metadata.name)
      yield { key, before: undefined, after }
    }
  }
}
