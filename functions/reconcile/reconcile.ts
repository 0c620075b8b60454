// The reconcile function: a wake-up says that a cluster's log has grown; catch up, compute with the
// pure controllers, commit once, tell those whom it concerns. Knows no controller by name.

import { randomUUID } from 'node:crypto'
import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Timers } from '#shared/ports/timers.ts'
import type { Limits } from '#shared/reconcile/limits.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { ClusterReconcile } from './cluster-reconcile.ts'

export interface ReconcileDeps {
  views: LiveViews
  bus: Bus
  timers: Timers
  clock: Clock
  log: Log
  /** What bounds one pass; for tests. */
  limits?: Partial<Limits>
  /** Unique ids for commits; for simulations that must repeat themselves. */
  newId?: () => string
}

export interface Reconcile {
  /**
   * Brings the cluster to rest, as far as it is known. Calls for one cluster run one after the other;
   * those that come during a run share the one that follows. Rejects when the store is away or the
   * cluster would not stand still: the wake-up must come again.
   */
  handle(cluster: string): Promise<void>
}

/** One instance of the function: what it has seen of each cluster is kept between calls. */
export function createReconcile(deps: ReconcileDeps): Reconcile {
  const clusters = new Map<string, ClusterReconcile>()
  return {
    handle(cluster) {
      let known = clusters.get(cluster)
      if (!known) {
        known = new ClusterReconcile(cluster, { newId: randomUUID, ...deps })
        clusters.set(cluster, known)
      }
      return known.run()
    },
  }
}
