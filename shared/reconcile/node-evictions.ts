// Which pods must leave a node for its NoExecute taints, and when: Kubernetes' taint-eviction controller.

import type { Node, Taint } from '../api/node.ts'
import type { Pod } from '../api/pod.ts'
import { tolerates } from '../schedule/tolerations.ts'
import { parseTime } from '../time.ts'
import { deletePolitely } from './delete.ts'
import type { EventDraft, Outcome, PlannedWrite } from './outcome.ts'

const UNREACHABLE: Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }

/**
 * All pods at once, however long they would bear it: the VM under them does not answer its health
 * checks. Those that bear it for ever stay: they belong to the node.
 */
export function evictAll(pods: readonly Pod[], now: number): Outcome {
  const leaving = pods.filter(
    (pod) =>
      !pod.metadata.deletionTimestamp &&
      leavesAt(pod, UNREACHABLE, now) !== Number.POSITIVE_INFINITY,
  )
  return {
    writes: leaving.flatMap((pod) => deletePolitely(pod, now)),
    events: leaving.map(eviction),
  }
}

/** Deletes the pods whose time on the node is over; says when the next one's is. */
export function evictions(node: Node, pods: readonly Pod[], now: number): Outcome {
  const taints = (node.spec.taints ?? []).filter((taint) => taint.effect === 'NoExecute')
  if (taints.length === 0) return { writes: [] }
  const writes: PlannedWrite[] = []
  const events: EventDraft[] = []
  let requeueAtMs: number | undefined
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp) continue
    const atMs = Math.min(...taints.map((taint) => leavesAt(pod, taint, now)))
    if (atMs === Number.POSITIVE_INFINITY) continue
    if (atMs > now) {
      requeueAtMs = Math.min(requeueAtMs ?? atMs, atMs)
      continue
    }
    writes.push(...deletePolitely(pod, now))
    events.push(eviction(pod))
  }
  return { writes, events, ...(requeueAtMs === undefined ? {} : { requeueAtMs }) }
}

/** When the pod must be gone because of this taint: never (Infinity), at once, or later. */
function leavesAt(pod: Pod, taint: Taint, now: number): number {
  const tolerations = (pod.spec.tolerations ?? []).filter((each) => tolerates(each, taint))
  if (tolerations.length === 0) return now
  const seconds = tolerations.map((each) => each.tolerationSeconds ?? Number.POSITIVE_INFINITY)
  const since = parseTime(taint.timeAdded) ?? now
  return since + Math.max(0, Math.min(...seconds)) * 1000
}

function eviction(pod: Pod): EventDraft {
  const { namespace, name } = pod.metadata
  return {
    about: pod,
    type: 'Normal',
    reason: 'TaintManagerEviction',
    message: `Marking for deletion Pod ${namespace}/${name}`,
    source: 'taint-eviction-controller',
  }
}
