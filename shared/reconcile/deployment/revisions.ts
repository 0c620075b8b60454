// Revisions: each template has its ReplicaSet, which remembers its number and what the Deployment said
// of itself when it was made. `kubectl rollout history` and `undo` read these annotations.

import type { Deployment } from '../../api/deployment.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { POD_CHANGES_ANNOTATION } from '../replica-set/pods.ts'
import { deleteAtOnce } from '../delete.ts'
import { withMeta } from '../draft.ts'
import type { PlannedWrite } from '../outcome.ts'
import { budget, sizeOf, wanted } from './world.ts'
import type { World } from './world.ts'

export const REVISION = 'deployment.kubernetes.io/revision'
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas'
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas'
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'

/** What a ReplicaSet does not take over from its Deployment. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  POD_CHANGES_ANNOTATION,
])

const DEFAULT_HISTORY_LIMIT = 10
/** kube-controller-manager's maxRevHistoryLengthInChars. */
const HISTORY_CHARACTERS_MAX = 2000

/** The number of a revision; 0 when it has none. */
export function revisionOf(object: ReplicaSet | Deployment): number {
  const revision = Number(object.metadata.annotations?.[REVISION] ?? 0)
  return Number.isSafeInteger(revision) ? revision : 0
}

/** The number that the current template's ReplicaSet has, or gets when an older one is newer. */
export function nextRevision({ oldSets }: World): number {
  return Math.max(0, ...oldSets.map(revisionOf)) + 1
}

/** The set with what it must say of its revision; the old numbers of a reused one are kept. */
export function withRevision(set: ReplicaSet, world: World): ReplicaSet {
  const revision = nextRevision(world)
  const annotations = { ...set.metadata.annotations, ...inherited(world.deployment) }
  const old = revisionOf(set)
  if (old < revision) {
    annotations[REVISION] = String(revision)
    if (old > 0) {
      annotations[REVISION_HISTORY] = extendHistory(annotations[REVISION_HISTORY], String(old))
    }
  }
  return withMeta(set, { annotations })
}

function inherited(deployment: Deployment): Record<string, string> {
  const all = Object.entries(deployment.metadata.annotations ?? {})
  return Object.fromEntries(all.filter(([key]) => !OWN_ANNOTATIONS.has(key)))
}

function extendHistory(history: string | undefined, revision: string): string {
  if (!history) return revision
  const numbers = [...history.split(','), revision]
  while (numbers.length > 1 && numbers.join(',').length > HISTORY_CHARACTERS_MAX) numbers.shift()
  return numbers.join(',')
}

/** The set with the size that it was given for, by which proportional scaling is computed. */
export function withSizes(set: ReplicaSet, deployment: Deployment): ReplicaSet {
  const annotations = {
    ...set.metadata.annotations,
    [DESIRED_REPLICAS]: String(wanted(deployment)),
    [MAX_REPLICAS]: String(wanted(deployment) + budget(deployment).surge),
  }
  return withMeta(set, { annotations })
}

/** A number from a set's annotation; undefined when it is not there. */
export function sizeAnnotation(set: ReplicaSet, annotation: string): number | undefined {
  const text = set.metadata.annotations?.[annotation]
  const size = text === undefined ? Number.NaN : Number(text)
  return Number.isSafeInteger(size) ? size : undefined
}

/**
 * The Deployment with its revision, and without what `kubectl rollout undo` copies from a ReplicaSet
 * though it is the ReplicaSet's own business.
 */
export function withDeploymentRevision(deployment: Deployment, set: ReplicaSet): Deployment {
  const { [POD_CHANGES_ANNOTATION]: _, ...annotations } = deployment.metadata.annotations ?? {}
  annotations[REVISION] = String(revisionOf(set))
  return withMeta(deployment, { annotations })
}

/** Removes the oldest empty ReplicaSets beyond spec.revisionHistoryLimit. */
export function cleanUpHistory({ deployment, oldSets, now }: World): PlannedWrite[] {
  const limit = deployment.spec.revisionHistoryLimit ?? DEFAULT_HISTORY_LIMIT
  const candidates = oldSets
    .filter((set) => !set.metadata.deletionTimestamp)
    .sort((a, b) => revisionOf(a) - revisionOf(b))
  return candidates
    .slice(0, Math.max(0, candidates.length - limit))
    .filter(isEmpty)
    .flatMap((set) => deleteAtOnce(set, now))
}

function isEmpty(set: ReplicaSet): boolean {
  const isObserved = (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0)
  return sizeOf(set) === 0 && (set.status?.replicas ?? 0) === 0 && isObserved
}
