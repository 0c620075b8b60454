// The pods of a ReplicaSet: which are its own, which it takes on or lets go, and new ones.

import { controllerOf, controllerReference, isControlledBy } from '../../api/owner.ts'
import { isPodActive } from '../../api/pod-conditions.ts'
import { podKind } from '../../api/pod-kind.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { safeName } from '../../hash.ts'
import { keyOf } from '../../key.ts'
import { admitByQuota, hasQuotas } from '../../quota/admission.ts'
import { matches, selectorOf } from '../../selector.ts'
import type { Selector } from '../../selector.ts'
import { isReason } from '../../status.ts'
import { Overlay } from '../../view/overlay.ts'
import type { Reader } from '../../view/reader.ts'
import { draftMeta, withMeta } from '../draft.ts'

/**
 * How many pods the set has made or deleted so far. Part of the next pod's name, so that a name never
 * returns; and because it moves with each of these acts, two runs that both act for the same set write
 * the same object, and the store lets only one of them through.
 */
export const POD_CHANGES_ANNOTATION = 'wherry.dev/pod-changes'

export interface ClaimedPods {
  /** The set's pods, those that it takes on now included. */
  own: Pod[]
  /** Orphans that match: to be stored with the set as their controller. */
  adopted: Pod[]
  /** Pods that no longer match: to be stored without it. */
  released: Pod[]
}

/** Sorts out which pods are the set's, as Kubernetes' PodControllerRefManager.ClaimPods. */
export function claimPods(reader: Reader, set: ReplicaSet): ClaimedPods {
  const selector = selectorOf(set.spec.selector)
  const claimed: ClaimedPods = { own: [], adopted: [], released: [] }
  const isLeaving = set.metadata.deletionTimestamp !== undefined
  for (const object of reader.ownedBy(set.metadata.uid)) {
    if (object.kind !== 'Pod' || !isControlledBy(object, set)) continue
    const pod = object as Pod
    if (isLeaving || matches(selector, pod.metadata.labels)) claimed.own.push(pod)
    else claimed.released.push(withoutOwner(pod, set))
  }
  if (isLeaving) return claimed
  for (const pod of orphans(reader, set, selector)) {
    const adopted = withOwner(pod, set)
    claimed.adopted.push(adopted)
    claimed.own.push(adopted)
  }
  return claimed
}

function orphans(reader: Reader, set: ReplicaSet, selector: Selector): Pod[] {
  const namespace = set.metadata.namespace ?? ''
  const [label] = Object.entries(set.spec.selector.matchLabels ?? {})
  const candidates = label
    ? reader.labelled('pods', namespace, label[0], label[1])
    : reader.list('pods', namespace)
  return (candidates as readonly Pod[]).filter(
    (pod) => !controllerOf(pod) && isPodActive(pod) && matches(selector, pod.metadata.labels),
  )
}

function withOwner(pod: Pod, set: ReplicaSet): Pod {
  const others = pod.metadata.ownerReferences ?? []
  return withMeta(pod, { ownerReferences: [...others, controllerReference(set)] })
}

function withoutOwner(pod: Pod, set: ReplicaSet): Pod {
  const others = pod.metadata.ownerReferences ?? []
  return withMeta(pod, {
    ownerReferences: others.filter((owner) => owner.uid !== set.metadata.uid),
  })
}

/** How many pods were made or deleted for the set. */
export function podChanges(set: ReplicaSet): number {
  const count = Number(set.metadata.annotations?.[POD_CHANGES_ANNOTATION] ?? 0)
  return Number.isSafeInteger(count) && count >= 0 ? count : 0
}

/** The set with its count of changes. */
export function withPodChanges(set: ReplicaSet, count: number): ReplicaSet {
  return withMeta(set, {
    annotations: { ...set.metadata.annotations, [POD_CHANGES_ANNOTATION]: String(count) },
  })
}

/** `count` new pods, named from the set's uid and the count of changes from `from` on. */
export function newPods(
  reader: Reader,
  set: ReplicaSet,
  count: number,
  from: number,
): { pods: Pod[]; next: number } {
  const pods: Pod[] = []
  let next = from
  while (pods.length < count) {
    const name = `${shortened(set.metadata.name)}-${safeName(5, set.metadata.uid, next)}`
    next++
    // Five letters are few: a name may be taken, by a stranger or by this set long ago.
    if (reader.get(keyOf('pods', set.metadata.namespace, name))) continue
    pods.push(podFromTemplate(set, name))
  }
  return { pods, next }
}

/** The first of the pods, as many as the namespace's quotas admit, and why the next is refused. */
export function admittedPods(
  reader: Reader,
  pods: readonly Pod[],
): { pods: Pod[]; refusal?: string } {
  if (!hasQuotas(reader, pods[0]?.metadata.namespace)) return { pods: [...pods] }
  const overlay = new Overlay(reader)
  const admitted: Pod[] = []
  for (const pod of pods) {
    const { name, namespace } = pod.metadata
    try {
      // Defaults say what the pod asks for.
      const after = structuredClone(pod)
      podKind.applyDefaults?.(after, { now: 0, reader })
      admitByQuota(overlay, { resource: 'pods', name, after })
      overlay.put(keyOf('pods', namespace, name), after)
    } catch (error) {
      if (!isReason(error, 'Forbidden')) throw error
      return { pods: admitted, refusal: error.message }
    }
    admitted.push(pod)
  }
  return { pods: admitted }
}

/** As Kubernetes' names.SimpleNameGenerator: what is generated fits in 63 characters. */
function shortened(base: string): string {
  return base.slice(0, 57)
}

function podFromTemplate(set: ReplicaSet, name: string): Pod {
  const { metadata = {}, spec = { containers: [] } } = set.spec.template ?? {}
  const { labels, annotations, finalizers } = metadata
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: draftMeta({
      name,
      generateName: `${set.metadata.name}-`,
      ...(set.metadata.namespace ? { namespace: set.metadata.namespace } : {}),
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(finalizers ? { finalizers } : {}),
      ownerReferences: [controllerReference(set)],
    }),
    spec,
    status: { phase: 'Pending' },
  }
}
