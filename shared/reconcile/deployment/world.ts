// What the steps of a Deployment's reconciliation look at, and the numbers they all use.

import { isControlledBy } from '../../api/owner.ts'
import { applyTemplateDefaults } from '../../api/pod-defaults.ts'
import type { PodTemplateSpec } from '../../api/pod.ts'
import type { Deployment } from '../../api/deployment.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { isEqual } from '../../equal.ts'
import { resolveRollingUpdate } from '../../int-or-percent.ts'
import { parseTime } from '../../time.ts'
import type { Reader } from '../../view/reader.ts'
import type { EventDraft } from '../outcome.ts'

/** Label by which the pods of one revision are told from those of another. */
export const HASH_LABEL = 'pod-template-hash'

export interface World {
  reader: Reader
  now: number
  deployment: Deployment
  /** The ReplicaSet of the current template, if there is one. */
  newSet: ReplicaSet | undefined
  /** All others, oldest first. */
  oldSets: readonly ReplicaSet[]
}

/** Everything about a Deployment that its steps need, read once. */
export function observe(reader: Reader, deployment: Deployment, now: number): World {
  const sets = reader
    .ownedBy(deployment.metadata.uid)
    .filter((object) => object.kind === 'ReplicaSet' && isControlledBy(object, deployment))
    .map((object) => object as ReplicaSet)
    .sort(olderFirst)
  const newSet = sets.find((set) => hasTemplateOf(set, deployment))
  return { reader, now, deployment, newSet, oldSets: sets.filter((set) => set !== newSet) }
}

/** Old and new together. */
export function allSets({ newSet, oldSets }: World): ReplicaSet[] {
  return newSet ? [...oldSets, newSet] : [...oldSets]
}

/** Those that want pods. */
export function activeSets(sets: readonly ReplicaSet[]): ReplicaSet[] {
  return sets.filter((set) => sizeOf(set) > 0)
}

/** How many pods the set wants. */
export function sizeOf(set: ReplicaSet): number {
  return set.spec.replicas ?? 1
}

/** How many pods the sets want together. */
export function totalSize(sets: readonly ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + sizeOf(set), 0)
}

/** How many pods the sets have had available together. */
export function totalAvailable(sets: readonly ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0)
}

/** How many pods the Deployment wants. */
export function wanted(deployment: Deployment): number {
  return deployment.spec.replicas ?? 1
}

export function isRollingUpdate(deployment: Deployment): boolean {
  return deployment.spec.strategy?.type !== 'Recreate'
}

/** How many pods too many and too few an update may have; both 0 for Recreate. */
export function budget(deployment: Deployment): { surge: number; unavailable: number } {
  if (!isRollingUpdate(deployment)) return { surge: 0, unavailable: 0 }
  const { maxSurge, maxUnavailable } = deployment.spec.strategy?.rollingUpdate ?? {}
  const { surge, unavailable } = resolveRollingUpdate(maxSurge, maxUnavailable, wanted(deployment))
  return { surge, unavailable: Math.min(unavailable, wanted(deployment)) }
}

/** True when the set's pods are what the Deployment asks for now. */
export function hasTemplateOf(set: ReplicaSet, deployment: Deployment): boolean {
  const { template } = set.spec
  return template !== undefined && isEqual(plain(template), plain(deployment.spec.template))
}

const plainTemplates = new WeakMap<PodTemplateSpec, PodTemplateSpec>()

/**
 * The template without the label that tells revisions apart, and with all defaults: one that was
 * stored before a default existed is the same as one that was stored after.
 */
export function plain(template: PodTemplateSpec): PodTemplateSpec {
  let copy = plainTemplates.get(template)
  if (!copy) {
    copy = structuredClone(template)
    delete copy.metadata?.labels?.[HASH_LABEL]
    applyTemplateDefaults(copy)
    plainTemplates.set(template, copy)
  }
  return copy
}

/** For sorting: by creation, then by name. */
export function olderFirst(a: ReplicaSet, b: ReplicaSet): number {
  const difference =
    (parseTime(a.metadata.creationTimestamp) ?? 0) - (parseTime(b.metadata.creationTimestamp) ?? 0)
  return difference || (a.metadata.name < b.metadata.name ? -1 : 1)
}

/** A Normal Event about the Deployment. */
export function news(about: Deployment, reason: string, message: string): EventDraft {
  return { about, type: 'Normal', reason, message, source: 'deployment-controller' }
}
