// One LiveView per cluster and process: loaded once, shared by all who ask.

import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { NO_VERSION } from '#shared/ports/store.ts'
import type { Store } from '#shared/ports/store.ts'
import { ClusterLiveView } from './cluster-live-view.ts'
import type { LiveView, LiveViews } from './live-view.ts'

export interface LiveViewsOptions {
  store: Store
  clock: Clock
  log: Log
  /** How long a catch-up may take before it is a 503. */
  deadlineMs?: number
  /** How much of each cluster's log stays in memory. */
  history?: { revisions: number; bytes: number }
}

/** The process's views of all clusters it deals with. */
export function createLiveViews(options: LiveViewsOptions): LiveViews {
  const views = new Map<string, Promise<ClusterLiveView>>()

  const load = (cluster: string): Promise<ClusterLiveView> => {
    const existing = views.get(cluster)
    if (existing) return existing
    const loading = ClusterLiveView.load(cluster, {
      ...options,
      deadlineMs: options.deadlineMs ?? 10_000,
      history: options.history ?? { revisions: 5_000, bytes: 32_000_000 },
    })
    views.set(cluster, loading)
    // The next call tries again.
    loading.catch(() => {
      if (views.get(cluster) === loading) views.delete(cluster)
    })
    return loading
  }

  const end = async (loading: Promise<ClusterLiveView> | undefined): Promise<void> => {
    const view = await loading?.catch(() => undefined)
    await view?.close()
  }

  return {
    open: (cluster): Promise<LiveView> => load(cluster),

    async checkpoint(cluster) {
      const view = await load(cluster)
      await view.catchUp()
      const checkpoint = view.toCheckpoint()
      if (checkpoint.version !== NO_VERSION) {
        await options.store.writeCheckpoint(cluster, checkpoint)
      }
    },

    async forget(cluster) {
      const view = views.get(cluster)
      views.delete(cluster)
      await end(view)
    },

    async close() {
      const all = [...views.values()]
      views.clear()
      await Promise.all(all.map(end))
    },
  }
}
