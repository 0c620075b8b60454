// The scheduler: gives each pending pod a node. All pending pods in one pass, the important ones
// first, each placement seen by the next.

import { conditionOf, withCondition } from '../api/conditions.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Node } from '../api/node.ts'
import type { Pod } from '../api/pod.ts'
import { CLAIMS } from '../api/persistent-volume-claim.ts'
import { VOLUMES } from '../api/persistent-volume.ts'
import { STORAGE_CLASSES } from '../api/storage-class.ts'
import { isEqual } from '../equal.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import type { Decision } from '../ports/store.ts'
import { IN_SYNC } from '../reconcile/outcome.ts'
import type {
  EventDraft,
  ObservedChange,
  Outcome,
  PlannedWrite,
  Reconciler,
} from '../reconcile/outcome.ts'
import type { Reader } from '../view/reader.ts'
import { place } from './place.ts'
import { Snapshot } from './snapshot.ts'
import { chooseVolumes } from './volumes.ts'

const DEFAULT_SCHEDULER = 'default-scheduler'

/** Pending pods are looked at together, so there is one key. */
export const PENDING_PODS: Key = keyOf('pods', '', '*pending')

/** Each is a pod and an Event: as many as one commit takes. The next run begins with a fresh look. */
const PODS_PER_RUN = 200

/** With more waiting pods than this, a change of mere numbers in why they wait is not written. */
const EXACT_MESSAGES_MAX = 50

export const scheduler: Reconciler = {
  name: 'scheduler',
  wakes: (change) => (concernsScheduling(change) ? [PENDING_PODS] : []),
  reconcile: (reader, _key, now, room) => schedule(reader, now, Math.min(room, PODS_PER_RUN)),
}

function concernsScheduling({ key, before, after }: ObservedChange): boolean {
  switch (splitKey(key).resource) {
    case 'pods':
      return isPodStep(before as Pod | undefined, after as Pod | undefined)
    case 'nodes':
      return isNodeStep(before as Node | undefined, after as Node | undefined)
    case CLAIMS:
    case VOLUMES:
    case STORAGE_CLASSES:
      return true
    case 'namespaces':
      return !isEqual(before?.metadata.labels, after?.metadata.labels)
    default:
      return false
  }
}

/** A pod that waits, or one that made room, or (for affinities) has other labels. */
function isPodStep(before: Pod | undefined, after: Pod | undefined): boolean {
  if (!after) return before?.spec.nodeName !== undefined
  if (!after.spec.nodeName) return true
  if (!before) return false
  const hasEnded = isPodTerminal(after) && !isPodTerminal(before)
  return hasEnded || !isEqual(before.metadata.labels, after.metadata.labels)
}

function isNodeStep(before: Node | undefined, after: Node | undefined): boolean {
  return (
    !before ||
    !after ||
    !isEqual(before.spec, after.spec) ||
    !isEqual(before.metadata.labels, after.metadata.labels) ||
    !isEqual(before.status?.allocatable, after.status?.allocatable)
  )
}

function schedule(reader: Reader, now: number, room: number): Outcome {
  const pending = (reader.list('pods') as readonly Pod[]).filter(isPending)
  if (pending.length === 0) return IN_SYNC
  pending.sort(moreImportantFirst)
  const snapshot = new Snapshot(reader)
  const outcome = new Placements(now, pending.length > EXACT_MESSAGES_MAX)
  const chosen = new Set<string>()
  for (const pod of pending) {
    if (outcome.writes.length >= room) return { ...outcome.sum(), requeueAtMs: now }
    if (pod.spec.schedulingGates?.length) outcome.gated(pod)
    else {
      const placement = place(snapshot, pod)
      const isWaiting = placement.slot !== undefined && placement.needs.unbound.length > 0
      // Its volumes come first: bound to a node only when they are bound to it.
      if (isWaiting) {
        outcome.choose(chooseVolumes(reader, placement.needs, placement.slot, chosen))
      } else outcome.add(pod, placement)
    }
  }
  return outcome.sum()
}

function isPending({ spec, metadata, status }: Pod): boolean {
  return (
    !spec.nodeName &&
    !metadata.deletionTimestamp &&
    (spec.schedulerName ?? DEFAULT_SCHEDULER) === DEFAULT_SCHEDULER &&
    status?.phase !== 'Failed' &&
    status?.phase !== 'Succeeded'
  )
}

/** By priority, then by age, then by name. */
function moreImportantFirst(a: Pod, b: Pod): number {
  const byPriority = (b.spec.priority ?? 0) - (a.spec.priority ?? 0)
  if (byPriority !== 0) return byPriority
  const [ageA, ageB] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp]
  if (ageA !== ageB) return ageA < ageB ? -1 : 1
  return nameOf(a) < nameOf(b) ? -1 : 1
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`
}

/** Collects what a pass decided. */
class Placements {
  readonly writes: PlannedWrite[] = []
  readonly #events: EventDraft[] = []
  readonly #decisions: Decision[] = []
  readonly #now: number
  readonly #isCrowded: boolean

  constructor(now: number, isCrowded: boolean) {
    this.#now = now
    this.#isCrowded = isCrowded
  }

  sum(): Outcome {
    return { writes: this.writes, events: this.#events, decisions: this.#decisions }
  }

  add(pod: Pod, placement: ReturnType<typeof place>): void {
    if (placement.slot) this.#bind(pod, placement.slot.name, placement.feasible, placement.why)
    else this.#wait(pod, placement.message)
  }

  /** What was decided for a pod's volumes. */
  choose(writes: readonly PlannedWrite[]): void {
    this.writes.push(...writes)
  }

  /** Kubernetes' SchedulingGated. */
  gated(pod: Pod): void {
    this.#put(
      pod,
      'False',
      'SchedulingGated',
      'Scheduling is blocked due to non-empty scheduling gates',
    )
  }

  #bind(pod: Pod, node: string, feasible: number, why: string): void {
    this.#put({ ...pod, spec: { ...pod.spec, nodeName: node } }, 'True')
    this.#say(pod, 'Normal', 'Scheduled', `Successfully assigned ${nameOf(pod)} to ${node}`)
    const choice = feasible > 1 ? `best of ${feasible} (${why})` : 'the only one that fits'
    this.#decide(pod, `chose node ${node}: ${choice}`)
  }

  #wait(pod: Pod, message: string): void {
    const known = conditionOf(pod, 'PodScheduled')
    const isKnown = known?.reason === 'Unschedulable' && this.#isSame(known.message, message)
    if (isKnown) return
    this.#put(pod, 'False', 'Unschedulable', message)
    this.#say(pod, 'Warning', 'FailedScheduling', message)
    this.#decide(pod, message)
  }

  #isSame(old: string | undefined, message: string): boolean {
    if (!this.#isCrowded) return old === message
    return old?.replace(/\d+/g, '') === message.replace(/\d+/g, '')
  }

  #put(pod: Pod, status: 'True' | 'False', reason?: string, message?: string): void {
    const condition = {
      type: 'PodScheduled',
      status,
      lastProbeTime: null,
      ...(reason ? { reason } : {}),
      ...(message ? { message } : {}),
    } as const
    const conditions = withCondition(pod.status?.conditions, condition, this.#now)
    const object: Pod = { ...pod, status: { ...pod.status, conditions } }
    this.writes.push({ do: 'put', object })
  }

  #say(about: Pod, type: EventDraft['type'], reason: string, message: string): void {
    this.#events.push({ about, type, reason, message, source: DEFAULT_SCHEDULER })
  }

  #decide(pod: Pod, text: string): void {
    const { namespace, name } = pod.metadata
    this.#decisions.push({ key: keyOf('pods', namespace, name), by: 'scheduler', text })
  }
}
