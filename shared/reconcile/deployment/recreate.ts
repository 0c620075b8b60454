// Recreate: no new pod before the last old one is gone, processes included.

import { isPodTerminal } from '../../api/pod-conditions.ts'
import type { Pod } from '../../api/pod.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import type { Outcome } from '../outcome.ts'
import { joined, scaleSet } from './scale.ts'
import { activeSets, sizeOf, wanted } from './world.ts'
import type { World } from './world.ts'

/** Empties the old sets; undefined when they are. */
export function emptyOldSets(world: World): Outcome | undefined {
  return joined(activeSets(world.oldSets).map((set) => scaleSet(world, set, 0)))
}

/** True while an old pod may still run: one that is being stopped does. */
export function isOldPodRunning({ oldSets, reader }: World): boolean {
  return oldSets.some(
    (set) =>
      (set.status?.replicas ?? 0) > 0 ||
      reader
        .ownedBy(set.metadata.uid)
        .some((object) => object.kind === 'Pod' && !isPodTerminal(object as Pod)),
  )
}

/** Gives the new set its whole size at once. */
export function fillNewSet(world: World, newSet: ReplicaSet): Outcome | undefined {
  const size = wanted(world.deployment)
  return sizeOf(newSet) === size ? undefined : scaleSet(world, newSet, size)
}
