// Resizing: one set, and all of them in proportion when a Deployment is scaled in the middle of an
// update (or while it is paused).

import type { ReplicaSet } from '../../api/replica-set.ts'
import { isEqual } from '../../equal.ts'
import type { Outcome } from '../outcome.ts'
import { DESIRED_REPLICAS, MAX_REPLICAS, sizeAnnotation, withSizes } from './revisions.ts'
import {
  activeSets,
  allSets,
  budget,
  isRollingUpdate,
  news,
  olderFirst,
  sizeOf,
  totalSize,
  wanted,
} from './world.ts'
import type { World } from './world.ts'

/** The set with another size, and the Event that says so. */
export function scaleSet({ deployment }: World, set: ReplicaSet, size: number): Outcome {
  const before = sizeOf(set)
  const sized = withSizes(set, deployment)
  const object: ReplicaSet = { ...sized, spec: { ...sized.spec, replicas: size } }
  if (isEqual(object, set)) return { writes: [] }
  const direction = size > before ? 'up' : 'down'
  const message = `Scaled ${direction} replica set ${set.metadata.name} from ${before} to ${size}`
  return {
    writes: [{ do: 'put', object }],
    events: size === before ? [] : [news(deployment, 'ScalingReplicaSet', message)],
  }
}

/** Outcomes as one; undefined when none of them writes anything. */
export function joined(outcomes: readonly Outcome[]): Outcome | undefined {
  const writes = outcomes.flatMap((outcome) => outcome.writes)
  if (writes.length === 0) return undefined
  return { writes, events: outcomes.flatMap((outcome) => outcome.events ?? []) }
}

/** True when the Deployment's size is not the one that its sets were made for. */
export function isScalingEvent(world: World): boolean {
  return activeSets(allSets(world)).some((set) => {
    const desired = sizeAnnotation(set, DESIRED_REPLICAS)
    return desired !== undefined && desired !== wanted(world.deployment)
  })
}

/** Brings the sets to the Deployment's size; undefined when they have it. */
export function scaleInProportion(world: World): Outcome | undefined {
  const { deployment, newSet, oldSets } = world
  const size = wanted(deployment)
  const only = onlyActiveOrLatest(world)
  if (only) return joined([scaleSet(world, only, size)])
  if (newSet && isSaturated(newSet, size)) {
    return joined(activeSets(oldSets).map((set) => scaleSet(world, set, 0)))
  }
  if (!isRollingUpdate(deployment)) return undefined
  return joined(proportionalSizes(world).map(([set, next]) => scaleSet(world, set, next)))
}

/** The one set that wants pods, or the latest when none does; undefined when there are several. */
function onlyActiveOrLatest(world: World): ReplicaSet | undefined {
  const active = activeSets(allSets(world))
  if (active.length > 1) return undefined
  return active[0] ?? world.newSet ?? world.oldSets.at(-1)
}

function isSaturated(set: ReplicaSet, size: number): boolean {
  return (
    sizeOf(set) === size &&
    sizeAnnotation(set, DESIRED_REPLICAS) === size &&
    (set.status?.availableReplicas ?? 0) === size
  )
}

/** Each active set's share of the size and surge; what rounding leaves goes to the largest set. */
function proportionalSizes(world: World): [ReplicaSet, number][] {
  const { deployment } = world
  const size = wanted(deployment)
  const sets = activeSets(allSets(world))
  const allowed = size > 0 ? size + budget(deployment).surge : 0
  const toAdd = allowed - totalSize(sets)
  const isGrowing = toAdd > 0
  sets.sort((a, b) => sizeOf(b) - sizeOf(a) || (isGrowing ? olderFirst(b, a) : olderFirst(a, b)))
  let added = 0
  const sizes = sets.map((set): [ReplicaSet, number] => {
    const share = shareOf(world, set, toAdd, added)
    added += share
    return [set, Math.max(0, sizeOf(set) + share)]
  })
  const [first] = sizes
  if (first && toAdd !== 0) first[1] = Math.max(0, first[1] + toAdd - added)
  return sizes
}

function shareOf({ deployment }: World, set: ReplicaSet, toAdd: number, added: number): number {
  if (toAdd === 0 || toAdd === added) return 0
  const size = sizeOf(set)
  const fraction = fractionOf(size)
  return toAdd > 0 ? Math.min(fraction, toAdd - added) : Math.max(fraction, toAdd - added)

  function fractionOf(size: number): number {
    if (wanted(deployment) === 0) return -size
    const total = wanted(deployment) + budget(deployment).surge
    const madeFor = sizeAnnotation(set, MAX_REPLICAS) || deployment.status?.replicas || total
    return Math.round((size * total) / madeFor) - size
  }
}
