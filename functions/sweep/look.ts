// The sweep's look at Compute Engine: Google's log entries say at once what happens to a VM, but an entry can be
// lost, or be filtered away by somebody's exclusion. So each minute the VMs of every cluster are compared with
// what they were a minute ago. Compute Engine's answers cost nothing, and nothing is read or written for it.
// https://docs.cloud.google.com/load-balancing/docs/health-check-logging

import { FLEET } from '#shared/api/cluster.ts'
import { fnv32 } from '#shared/hash.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Instance } from '#shared/ports/compute.ts'
import { CLUSTER_LABEL } from '../cloud/wishes.ts'
import type { ClusterState } from './state.ts'
import type { SweepDeps } from './sweep.ts'

/** So many clusters are asked about at a time. */
const SIDE_BY_SIDE = 8

/**
 * Wakes the cloud function for each cluster whose VMs are not as they were; answers what they are now.
 * A cluster about which nothing could be learnt, or whose cloud function could not be woken, is left to the next
 * minute.
 */
export async function look(
  deps: SweepDeps,
  clusters: Readonly<Record<string, ClusterState>>,
): Promise<Map<string, string>> {
  const changed = new Map<string, string>()
  const queue = Object.entries(clusters).filter(
    ([cluster, { isLeaving }]) => cluster !== FLEET && !isLeaving,
  )
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [cluster, { vms = '' }] = next
      try {
        const seen = markOf(await deps.compute.listInstances({ [CLUSTER_LABEL]: cluster }))
        if (seen === vms) continue
        await deps.bus.publish(TOPICS.cloud, {
          attributes: { cluster },
          data: '{}',
          orderingKey: cluster,
        })
        changed.set(cluster, seen)
      } catch (error) {
        deps.log.warn('the VMs of a cluster are looked at by the next sweep', { cluster, error })
      }
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work))
  return changed
}

/** Empty without VMs, else the same text only while all of them are the same and as well as before. */
function markOf(instances: readonly Instance[]): string {
  if (instances.length === 0) return ''
  const each = instances.map(({ id, status, isHealthy }) => `${id} ${status} ${isHealthy}`)
  return fnv32(each.toSorted().join('\n')).toString(16)
}
