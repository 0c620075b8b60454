// The sweep's look at Compute Engine: Google's log entries say at once what happens to a VM, but an entry can be
// lost, or be filtered away by somebody's exclusion. So each minute the VMs of every cluster are compared with
// what they were a minute ago. Compute Engine's answers cost nothing, and nothing is read or written for it.
// https://docs.cloud.google.com/load-balancing/docs/health-check-logging

import { FLEET } from '#shared/api/cluster.ts'
import { fnv32 } from '#shared/hash.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { VmState } from '#shared/ports/vm-look.ts'
import type { ClusterState } from './state.ts'
import type { SweepDeps } from './sweep.ts'

/**
 * Wakes the cloud function for each cluster whose VMs are not as they were; answers what they are now.
 * When nothing could be learnt, or a cloud function could not be woken, that is left to the next minute.
 */
export async function look(
  { vms, bus, log }: Pick<SweepDeps, 'vms' | 'bus' | 'log'>,
  clusters: Readonly<Record<string, ClusterState>>,
): Promise<Map<string, string>> {
  const changed = new Map<string, string>()
  const known = Object.entries(clusters).filter(
    ([cluster, { isLeaving }]) => cluster !== FLEET && !isLeaving,
  )
  if (known.length === 0) return changed
  try {
    const now = Map.groupBy(await vms(), ({ cluster }) => cluster)
    for (const [cluster, { vms: before = '' }] of known) {
      const mark = markOf(now.get(cluster) ?? [])
      if (mark === before) continue
      await bus.publish(TOPICS.cloud, { attributes: { cluster }, data: '{}', orderingKey: cluster })
      changed.set(cluster, mark)
    }
  } catch (error) {
    log.warn('the VMs are looked at by the next sweep', { error })
  }
  return changed
}

/** Empty without VMs, else the same text only while all of them are the same and as well as before. */
function markOf(vms: readonly VmState[]): string {
  if (vms.length === 0) return ''
  const each = vms.map(({ id, status, isHealthy }) => `${id} ${status} ${isHealthy}`)
  return fnv32(each.toSorted().join('\n')).toString(16)
}
