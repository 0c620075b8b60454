// The brain without a body: a view, the pure controllers, and time that a test moves. What a pass
// wants is committed at once, as the store would.

import type { Condition, KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import { isEqual } from '#shared/equal.ts'
import { fnv32 } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import type { Key } from '#shared/key.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import { reconcileToFixpoint } from '#shared/reconcile/engine.ts'
import type { Fixpoint } from '#shared/reconcile/engine.ts'
import { keyOfObject, kindFacts } from '#shared/reconcile/kinds.ts'
import type { ObservedChange, Reconciler } from '#shared/reconcile/outcome.ts'
import type { Work } from '#shared/reconcile/work-queue.ts'
import { formatTime } from '#shared/time.ts'
import { ClusterView } from '#shared/view/view.ts'

const START_MS = 1_800_000_000_000
const PASSES_MAX = 50

export class Brain {
  readonly view = new ClusterView()
  now = START_MS
  readonly #reconcilers: readonly Reconciler[]
  #changes: ObservedChange[] = []
  #due: (Work & { atMs: number | undefined })[] = []
  #versions = 0

  constructor(reconcilers: readonly Reconciler[]) {
    this.#reconcilers = reconcilers
  }

  /** Stores objects as the api function would: stamped, and noticed by the next pass. */
  put(...objects: KubeObject[]): void {
    const changes = objects.map((object): Change => {
      const key = keyOfObject(object)
      const before = this.view.get(key)
      const draft = structuredClone(object)
      const facts = kindFacts(object.apiVersion, object.kind)
      facts?.applyDefaults(draft, {
        now: this.now,
        reader: this.view,
        ...(before ? { old: before } : {}),
      })
      const metadata = {
        ...draft.metadata,
        uid: object.metadata.uid || before?.metadata.uid || `uid-${key}`,
        creationTimestamp:
          object.metadata.creationTimestamp ||
          before?.metadata.creationTimestamp ||
          formatTime(this.now),
        generation: (before?.metadata.generation ?? 0) + (hasSameSpec(before, draft) ? 0 : 1),
      }
      return { key, ...(before ? { before } : {}), after: { ...draft, metadata } }
    })
    this.#commit(changes)
  }

  remove(key: Key): void {
    const before = this.view.get(key)
    if (before) this.#commit([{ key, before }])
  }

  /** Changes the object under a key. */
  update<T extends KubeObject>(key: Key, change: (object: T) => T): void {
    const object = this.view.get(key) as T | undefined
    if (!object) throw new Error(`there is no ${key}`)
    this.put(change(object))
  }

  /** Passes until nothing is left over. Answers what all of them together did. */
  settle(): Settled {
    const settled: Settled = { events: [], decisions: [], writes: [], faults: [], commits: 0 }
    let rest: Work[] = []
    for (let pass = 0; pass < PASSES_MAX; pass++) {
      const due = this.#due.filter(({ atMs }) => atMs !== undefined && atMs <= this.now)
      const changes = this.#changes
      this.#changes = []
      const result = reconcileToFixpoint({
        reader: this.view,
        changes,
        work: [...rest, ...due],
        now: this.now,
        reconcilers: this.#reconcilers,
      })
      this.#take(result, settled)
      rest = result.rest
      if (rest.length === 0 && result.writes.length === 0) return settled
    }
    throw new Error('did not settle')
  }

  /** The earliest time at which a controller wants to be asked again. */
  get dueAtMs(): number | undefined {
    const times = this.#due.flatMap(({ atMs }) => atMs ?? [])
    return times.length > 0 ? Math.min(...times) : undefined
  }

  /** Moves the time. */
  wait(seconds: number): void {
    this.now += seconds * 1000
  }

  /** Tells every controller of every object, as an instance that starts from nothing. */
  noticeEverything(resources: readonly string[]): void {
    for (const resource of resources) {
      for (const after of this.view.list(resource)) {
        this.#changes.push({ key: keyOfObject(after), before: undefined, after })
      }
    }
  }

  #take(result: Fixpoint, settled: Settled): void {
    const known = new Map(this.#due.map((due) => [`${due.reconciler} ${due.key}`, due]))
    for (const [id, looked] of result.looked) known.set(id, looked)
    this.#due = [...known.values()].filter(({ atMs }) => atMs !== undefined)
    settled.events.push(...result.events.map(({ reason, message }) => `${reason}: ${message}`))
    settled.decisions.push(...result.decisions.map(({ text }) => text))
    settled.faults.push(...result.faults.map(({ message }) => message))
    if (result.writes.length === 0) return
    settled.commits++
    settled.writes.push(
      ...result.writes.map(({ key, object, expect }) =>
        object ? `${expect ? 'update' : 'create'} ${key}` : `remove ${key}`,
      ),
    )
    this.#commit(
      result.writes.map(({ key, object }): Change => {
        const before = this.view.get(key)
        return { key, ...(before ? { before } : {}), ...(object ? { after: object } : {}) }
      }),
    )
  }

  #commit(changes: Change[]): void {
    const version = String(++this.#versions).padStart(16, '0')
    const stamped = changes.map((change): Change => {
      if (!change.after) return change
      const metadata = { ...change.after.metadata, resourceVersion: version }
      return { ...change, after: { ...change.after, metadata } }
    })
    const cause = { actor: 'test', verb: 'put' }
    const revision: Revision = { id: version, version, cause, changes: stamped, decisions: [] }
    this.view.apply(revision)
    for (const { key, before, after } of stamped) this.#changes.push({ key, before, after })
  }
}

export interface Settled {
  /** `Reason: message`. */
  events: string[]
  decisions: string[]
  /** `create pods/default/web-1`. */
  writes: string[]
  faults: string[]
  commits: number
}

function hasSameSpec(a: KubeObject | undefined, b: KubeObject): boolean {
  const spec = (object: object | undefined): unknown =>
    object && 'spec' in object ? object.spec : undefined
  return isEqual(spec(a), spec(b))
}

/** All pods of the cluster. */
export function podsOf(brain: Brain): Pod[] {
  return [...brain.view.list('pods')] as Pod[]
}

/** What an agent reports of a pod whose containers run. */
export function reportRunning(brain: Brain, pod: Pod, isReady = true): void {
  const time = formatTime(brain.now)
  const condition = (type: string, status: boolean): Condition => ({
    type,
    status: status ? 'True' : 'False',
    lastTransitionTime: time,
  })
  brain.update<Pod>(keyOf('pods', pod.metadata.namespace, pod.metadata.name), (current) => ({
    ...current,
    status: {
      ...current.status,
      phase: 'Running',
      podIP: current.status?.podIP ?? `10.8.0.${1 + (fnv32(current.metadata.uid) % 250)}`,
      conditions: [
        ...(current.status?.conditions ?? []).filter(({ type }) => type === 'PodScheduled'),
        condition('Ready', isReady),
        condition('ContainersReady', isReady),
      ],
    },
  }))
}
