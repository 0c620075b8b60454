// Deployment: the one function with the branches; each branch's how-to stands in its own file.

import type { Deployment } from '../../api/deployment.ts'
import type { Condition, KubeObject } from '../../api/meta.ts'
import { controllerOf, controllerReference, isControlledBy } from '../../api/owner.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { keyOf, splitKey } from '../../key.ts'
import type { Key } from '../../key.ts'
import { matches, matchesLabelSelector, selectorOf } from '../../selector.ts'
import type { Reader } from '../../view/reader.ts'
import { withMeta } from '../draft.ts'
import { IN_SYNC } from '../outcome.ts'
import type { ObservedChange, Outcome, PlannedWrite, Reconciler } from '../outcome.ts'
import { findCondition, hasProgressDeadline, REASON, setCondition } from './conditions.ts'
import { createNewSet, syncNewSet } from './new-set.ts'
import { emptyOldSets, fillNewSet, isOldPodRunning } from './recreate.ts'
import { cleanUpHistory } from './revisions.ts'
import { growNewSet, shrinkOldSets } from './rolling.ts'
import { isScalingEvent, scaleInProportion } from './scale.ts'
import { isComplete, reportCounts, reportRollout } from './status.ts'
import { isRollingUpdate, observe } from './world.ts'
import type { World } from './world.ts'

const DEPLOYMENTS = 'deployments.apps'
const REPLICA_SETS = 'replicasets.apps'

export const deploymentReconciler: Reconciler = {
  name: 'deployment',
  wakes,
  reconcile(reader, key, now) {
    const deployment = reader.get(key) as Deployment | undefined
    return deployment ? reconcileDeployment(reader, deployment, now) : IN_SYNC
  },
}

function wakes(change: ObservedChange, reader: Reader): Key[] {
  switch (splitKey(change.key).resource) {
    case DEPLOYMENTS:
      return change.after ? [change.key] : []
    case REPLICA_SETS:
      return [...ownersOf(change.before), ...ownersOf(change.after), ...adopters(change, reader)]
    case 'pods':
      // The last old pod is gone: what Recreate waits for.
      return change.before && !change.after ? ownersOfSetOf(change.before, reader) : []
    default:
      return []
  }
}

function ownersOf(set: KubeObject | undefined): Key[] {
  const owner = set ? controllerOf(set) : undefined
  if (owner?.kind !== 'Deployment') return []
  return [keyOf(DEPLOYMENTS, set?.metadata.namespace, owner.name)]
}

function ownersOfSetOf(pod: KubeObject, reader: Reader): Key[] {
  const owner = controllerOf(pod)
  if (owner?.kind !== 'ReplicaSet') return []
  return ownersOf(reader.get(keyOf(REPLICA_SETS, pod.metadata.namespace, owner.name)))
}

function adopters({ after }: ObservedChange, reader: Reader): Key[] {
  if (!after || controllerOf(after)) return []
  const { namespace, labels } = after.metadata
  return (reader.list(DEPLOYMENTS, namespace) as readonly Deployment[])
    .filter((deployment) => matchesLabelSelector(deployment.spec.selector, labels))
    .map((deployment) => keyOf(DEPLOYMENTS, namespace, deployment.metadata.name))
}

/**
 * Each branch answers its next step, or nothing when there is none; after a step the engine lets the
 * ReplicaSets act and asks again, so the last word is always the status.
 */
function reconcileDeployment(reader: Reader, deployment: Deployment, now: number): Outcome {
  if (selectsEverything(deployment)) return refuseSelector(deployment)
  if (deployment.metadata.deletionTimestamp) return reportCounts(observe(reader, deployment, now))
  const claims = claimSets(reader, deployment)
  if (claims.length > 0) return { writes: claims }

  const world = observe(reader, deployment, now)
  const step = syncPause(world) ?? syncKnownSet(world)
  if (step) return step
  if (deployment.spec.paused) {
    return scaleInProportion(world) ?? cleanUp(world) ?? reportCounts(world)
  }
  if (!isRollingUpdate(deployment)) return recreate(world)
  return (isScalingEvent(world) ? scaleInProportion(world) : undefined) ?? rollOut(world)
}

function rollOut(world: World): Outcome {
  const { newSet } = world
  if (!newSet) return createNewSet(world)
  return (
    growNewSet(world, newSet) ??
    shrinkOldSets(world, newSet) ??
    cleanUpWhenComplete(world) ??
    reportRollout(world)
  )
}

function recreate(world: World): Outcome {
  const { newSet } = world
  const step = emptyOldSets(world)
  if (step) return step
  if (isOldPodRunning(world)) return reportRollout(world)
  if (!newSet) return createNewSet(world)
  return fillNewSet(world, newSet) ?? cleanUpWhenComplete(world) ?? reportRollout(world)
}

function syncKnownSet(world: World): Outcome | undefined {
  return world.newSet ? syncNewSet(world, world.newSet) : undefined
}

function cleanUpWhenComplete(world: World): Outcome | undefined {
  return isComplete(world.deployment) ? cleanUp(world) : undefined
}

function cleanUp(world: World): Outcome | undefined {
  const writes = cleanUpHistory(world)
  return writes.length > 0 ? { writes } : undefined
}

/** Takes on ReplicaSets that match and have no controller, lets go those that no longer match. */
function claimSets(reader: Reader, deployment: Deployment): PlannedWrite[] {
  const selector = selectorOf(deployment.spec.selector)
  const { namespace, uid } = deployment.metadata
  const isMatch = (set: KubeObject): boolean => matches(selector, set.metadata.labels)
  const adopted = reader
    .list(REPLICA_SETS, namespace)
    .filter((set) => !controllerOf(set) && !set.metadata.deletionTimestamp && isMatch(set))
    .map((set) => {
      const others = set.metadata.ownerReferences ?? []
      return withMeta(set, { ownerReferences: [...others, controllerReference(deployment)] })
    })
  const released = (reader.ownedBy(uid) as readonly ReplicaSet[])
    .filter((set) => set.kind === 'ReplicaSet' && isControlledBy(set, deployment) && !isMatch(set))
    .map((set) => {
      const owners = set.metadata.ownerReferences ?? []
      return withMeta(set, { ownerReferences: owners.filter((owner) => owner.uid !== uid) })
    })
  return [...adopted, ...released].map((object) => ({ do: 'put', object }))
}

/** Says in Progressing that the Deployment was paused or resumed, so that the deadline stands still. */
function syncPause({ deployment, now }: World): Outcome | undefined {
  if (!hasProgressDeadline(deployment)) return undefined
  const conditions = deployment.status?.conditions
  const current = findCondition(conditions, 'Progressing')
  if (current?.reason === REASON.timedOut) return undefined
  const isMarked = current?.reason === REASON.paused
  if (Boolean(deployment.spec.paused) === isMarked) return undefined
  const condition: Condition = {
    type: 'Progressing',
    status: 'Unknown',
    reason: isMarked ? REASON.resumed : REASON.paused,
    message: isMarked ? 'Deployment is resumed' : 'Deployment is paused',
  }
  const status = { ...deployment.status, conditions: setCondition(conditions, condition, now) }
  const object: Deployment = { ...deployment, status }
  return { writes: [{ do: 'put', object }] }
}

function selectsEverything({ spec }: Deployment): boolean {
  const { matchLabels, matchExpressions } = spec.selector
  return Object.keys(matchLabels ?? {}).length === 0 && !matchExpressions?.length
}

function refuseSelector(deployment: Deployment): Outcome {
  const { generation } = deployment.metadata
  const observed = deployment.status?.observedGeneration ?? 0
  const object: Deployment = {
    ...deployment,
    status: { ...deployment.status, ...(generation ? { observedGeneration: generation } : {}) },
  }
  return {
    writes: observed < (generation ?? 0) ? [{ do: 'put', object }] : [],
    events: [
      {
        about: deployment,
        type: 'Warning',
        reason: 'SelectingAll',
        message: 'This deployment is selecting all pods. A non-empty selector is required.',
        source: 'deployment-controller',
      },
    ],
  }
}
