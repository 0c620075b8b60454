// RollingUpdate: new pods as the surge allows, old ones away as availability allows.
//
// Example: 10 replicas, maxSurge 3, maxUnavailable 2. At most 13 pods, at least 8 available. First the
// new set gets 3 (10 + 3 = 13); of the old 10, 2 may go at once (8 stay available); that makes room for
// 2 new ones; each new pod that becomes available lets one more old pod go, until 10 are new.

import type { Deployment } from '../../api/deployment.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import type { Outcome } from '../outcome.ts'
import { joined, scaleSet } from './scale.ts'
import { activeSets, allSets, budget, sizeOf, totalAvailable, totalSize, wanted } from './world.ts'
import type { World } from './world.ts'

/** How large the new set may be now, when it has `size`. */
export function rollingSize(
  deployment: Deployment,
  sets: readonly ReplicaSet[],
  size: number,
): number {
  const room = wanted(deployment) + budget(deployment).surge - totalSize(sets)
  return room <= 0 ? size : size + Math.max(0, Math.min(room, wanted(deployment) - size))
}

/** Resizes the new set; undefined when it has its size. */
export function growNewSet(world: World, newSet: ReplicaSet): Outcome | undefined {
  const { deployment } = world
  const size = sizeOf(newSet)
  const next =
    size > wanted(deployment) ? wanted(deployment) : rollingSize(deployment, allSets(world), size)
  return next === size ? undefined : scaleSet(world, newSet, next)
}

/** Shrinks old sets as far as availability allows; undefined when nothing may go (now). */
export function shrinkOldSets(world: World, newSet: ReplicaSet): Outcome | undefined {
  const { deployment, oldSets } = world
  const minAvailable = wanted(deployment) - budget(deployment).unavailable
  const all = allSets(world)
  const newUnavailable = sizeOf(newSet) - (newSet.status?.availableReplicas ?? 0)
  const mayGo = totalSize(all) - minAvailable - newUnavailable
  if (totalSize(oldSets) === 0 || mayGo <= 0) return undefined

  // Pods that serve nobody go first: else an update away from a broken version could never end.
  const sizes = new Map(oldSets.map((set) => [set, sizeOf(set)]))
  let left = mayGo
  for (const set of oldSets) {
    const unavailable = sizeOf(set) - (set.status?.availableReplicas ?? 0)
    const count = Math.max(0, Math.min(left, unavailable))
    sizes.set(set, sizeOf(set) - count)
    left -= count
  }
  let spare = Math.min(left, totalAvailable(all) - minAvailable)
  for (const set of oldSets) {
    const size = sizes.get(set) ?? 0
    const count = Math.max(0, Math.min(spare, size))
    sizes.set(set, size - count)
    spare -= count
  }
  const outcomes = activeSets(oldSets)
    .filter((set) => sizes.get(set) !== sizeOf(set))
    .map((set) => scaleSet(world, set, sizes.get(set) ?? 0))
  return joined(outcomes)
}
