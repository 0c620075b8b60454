// Which VMs are made anew because nobody believes any more that they come back: unwell for ten minutes,
// as GKE's node auto-repair. It also ends whatever may still run there; so it comes sooner where a pod
// that alone may write is waited for. Pure.

import { conditionOf } from '#shared/api/conditions.ts'
import type { Node } from '#shared/api/node.ts'
import type { PoolInstance } from '#shared/api/node-pool.ts'
import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import { isMassFailure, zoneOf } from '#shared/reconcile/disruption.ts'
import { isSingleWriter } from '#shared/reconcile/fence.ts'
import { parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'

const REPAIR_AFTER_MS = 600_000
/** A pod that leaves may not be replaced before its VM is off. */
const FENCE_AFTER_MS = 30_000

/** At most one of a pool at a time, and none while most of its zone is unwell: that is not the VMs. */
export function instanceToRepair(
  reader: Reader,
  instances: readonly PoolInstance[],
  now: number,
): PoolInstance | undefined {
  // One that is being made already is the one at a time.
  if (instances.some(({ status }) => status !== 'RUNNING')) return undefined
  const zones = new Set(instances.map(({ name }) => nodeNamed(reader, name)).map(zoneIn))
  if ([...zones].some((zone) => isMassFailure(reader, zone, now))) return undefined
  return instances.find((instance) => {
    if (instance.isHealthy !== false) return false
    const since = unwellSince(reader, instance)
    const after = isWaitedFor(reader, instance.name) ? FENCE_AFTER_MS : REPAIR_AFTER_MS
    return since !== undefined && now - since >= after
  })
}

/** A pod that alone may write was asked to leave, and nobody there answers. */
function isWaitedFor(reader: Reader, node: string): boolean {
  return (reader.podsOnNode(node) as readonly Pod[]).some(
    (pod) => pod.metadata.deletionTimestamp !== undefined && isSingleWriter(pod),
  )
}

function nodeNamed(reader: Reader, name: string): Node | undefined {
  return reader.get(keyOf('nodes', '', name)) as Node | undefined
}

function zoneIn(node: Node | undefined): string {
  return node ? zoneOf(node) : ''
}

/** A VM that never made a Node is unwell since it is there. */
function unwellSince(
  reader: Reader,
  { name, creationTimestamp }: PoolInstance,
): number | undefined {
  const node = nodeNamed(reader, name)
  if (!node) return parseTime(creationTimestamp)
  const ready = conditionOf(node, 'Ready')
  return ready && ready.status !== 'True' ? parseTime(ready.lastTransitionTime) : undefined
}
