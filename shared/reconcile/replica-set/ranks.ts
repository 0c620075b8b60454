// Which pods a ReplicaSet gives up first when it has too many: Kubernetes' ActivePodsWithRanks.

import { isPodReady } from '../../api/pod-conditions.ts'
import { conditionOf } from '../../api/conditions.ts'
import type { Pod } from '../../api/pod.ts'
import { parseTime } from '../../time.ts'

/** The user's word on what a pod is worth; lower goes first. */
const DELETION_COST_ANNOTATION = 'controller.kubernetes.io/pod-deletion-cost'

interface Ranked {
  pod: Pod
  /** How many of the same set are on its node. */
  doubled: number
}

/**
 * The pods in the order in which they are to go: unassigned, pending, not ready, cheaper to delete,
 * more of its kind on the node, ready for a shorter time, restarted more often, younger. Ages are
 * compared in powers of two, so that among pods of much the same age the choice is even.
 */
export function inOrderOfDeletion(
  pods: readonly Pod[],
  related: readonly Pod[],
  now: number,
): Pod[] {
  const onNode = new Map<string, number>()
  for (const pod of related) {
    const node = pod.spec.nodeName
    if (node) onNode.set(node, (onNode.get(node) ?? 0) + 1)
  }
  return pods
    .map((pod): Ranked => ({ pod, doubled: onNode.get(pod.spec.nodeName ?? '') ?? 0 }))
    .sort((a, b) => compare(a, b, now))
    .map(({ pod }) => pod)
}

/** Below 0 when `a` goes before `b`. */
function compare(a: Ranked, b: Ranked, now: number): number {
  return (
    falseFirst(isAssigned(a.pod), isAssigned(b.pod)) ||
    phaseRank(a.pod) - phaseRank(b.pod) ||
    falseFirst(isPodReady(a.pod), isPodReady(b.pod)) ||
    deletionCost(a.pod) - deletionCost(b.pod) ||
    b.doubled - a.doubled ||
    youngerFirst(readySince(a.pod), readySince(b.pod), now) ||
    restarts(b.pod) - restarts(a.pod) ||
    youngerFirst(createdAt(a.pod), createdAt(b.pod), now) ||
    (a.pod.metadata.uid < b.pod.metadata.uid ? -1 : 1)
  )
}

function falseFirst(a: boolean, b: boolean): number {
  return Number(a) - Number(b)
}

function isAssigned(pod: Pod): boolean {
  return Boolean(pod.spec.nodeName)
}

function phaseRank(pod: Pod): number {
  if (pod.status?.phase === 'Running') return 2
  return pod.status?.phase === 'Unknown' ? 1 : 0
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[DELETION_COST_ANNOTATION] ?? ''
  return /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : 0
}

function readySince(pod: Pod): number | undefined {
  const ready = conditionOf(pod, 'Ready')
  return ready?.status === 'True' ? parseTime(ready.lastTransitionTime) : undefined
}

function createdAt(pod: Pod): number | undefined {
  return parseTime(pod.metadata.creationTimestamp)
}

function restarts(pod: Pod): number {
  const counts = (pod.status?.containerStatuses ?? []).map((status) => status.restartCount)
  return Math.max(0, ...counts)
}

/** Of two times the later goes first, when their ages differ in magnitude; unknown is youngest. */
function youngerFirst(a: number | undefined, b: number | undefined, now: number): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined)
  return magnitude(now - a) - magnitude(now - b)
}

function magnitude(ageMs: number): number {
  return ageMs <= 0 ? 0 : Math.floor(Math.log2(ageMs / 1000 + 1)) + 1
}
