// The brake: when many nodes fail their health checks at once, that is more likely a fault of the checker
// or the network than of the VMs, and moving all pods would make an outage of it. As the zone states of
// Kubernetes' node lifecycle controller:
// https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction. Pure.

import type { Node } from '../api/node.ts'
import type { Reader } from '../view/reader.ts'
import { suspicionOf } from './suspicion.ts'
import { vmState } from './vm-state.ts'

interface Count {
  well: number
  /** Fail a health check, and have not said that they live. */
  suspect: number
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'
/** Below this one of two that fail is no mass. */
const MASS_MIN = 3

/**
 * True while pods of suspect nodes of this zone stay where they are: most of its nodes fail (partial
 * disruption), or no node of the cluster is well (full disruption of all zones): there is nowhere to go,
 * and where they are they may still serve. A zone that fails as a whole beside others that are well is
 * evicted.
 */
export function isEvictionBraked(reader: Reader, zone: string, now: number): boolean {
  const zones = countNodes(reader, now)
  const all = [...zones.values()]
  const own = zones.get(zone) ?? { well: 0, suspect: 0 }
  if (all.every(({ well }) => well === 0)) return all.some(({ suspect }) => suspect > 0)
  return own.well > 0 && isMost(own)
}

/** True while most nodes of a zone fail: nothing is made anew there. */
export function isMassFailure(reader: Reader, zone: string, now: number): boolean {
  const own = countNodes(reader, now).get(zone)
  return own !== undefined && isMost(own)
}

/** '' for a Node that does not say. */
export function zoneOf({ metadata }: Node): string {
  return metadata.labels?.[ZONE_LABEL] ?? ''
}

function isMost({ well, suspect }: Count): boolean {
  return well + suspect >= MASS_MIN && suspect > well
}

function countNodes(reader: Reader, now: number): Map<string, Count> {
  const zones = new Map<string, Count>()
  for (const node of reader.list('nodes') as readonly Node[]) {
    const zone = zoneOf(node)
    const count = zones.get(zone) ?? { well: 0, suspect: 0 }
    zones.set(zone, count)
    const { is } = vmState(reader, node)
    if (is === 'fine') count.well++
    else if (is === 'suspect') {
      if (suspicionOf(node, now).is === 'answered') count.well++
      else count.suspect++
    }
  }
  return zones
}
