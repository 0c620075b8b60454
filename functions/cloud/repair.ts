// Which VMs are made anew because nobody believes any more that they come back: unwell for ten minutes,
// as GKE's node auto-repair. It also ends whatever may still run there. Pure.

import { conditionOf } from '#shared/api/conditions.ts'
import type { Node } from '#shared/api/node.ts'
import type { PoolInstance } from '#shared/api/node-pool.ts'
import { keyOf } from '#shared/key.ts'
import { isMassFailure } from '#shared/reconcile/vm-state.ts'
import { parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'

const REPAIR_AFTER_MS = 600_000

/** At most one of a pool at a time, and none while most of the cluster is unwell: that is not the VMs. */
export function instanceToRepair(
  reader: Reader,
  instances: readonly PoolInstance[],
  now: number,
): PoolInstance | undefined {
  // One that is being made already is the one at a time.
  if (instances.some(({ status }) => status !== 'RUNNING') || isMassFailure(reader))
    return undefined
  return instances.find((instance) => {
    if (instance.isHealthy !== false) return false
    const since = unwellSince(reader, instance)
    return since !== undefined && now - since >= REPAIR_AFTER_MS
  })
}

/** A VM that never made a Node is unwell since it is there. */
function unwellSince(
  reader: Reader,
  { name, creationTimestamp }: PoolInstance,
): number | undefined {
  const node = reader.get(keyOf('nodes', '', name)) as Node | undefined
  if (!node) return parseTime(creationTimestamp)
  const ready = conditionOf(node, 'Ready')
  return ready && ready.status !== 'True' ? parseTime(ready.lastTransitionTime) : undefined
}
