// The `scheduler` line of `kubectl get componentstatuses`: the scheduler is part of the reconcile
// function, so what can be seen of it is its lag. A pod that nobody has looked at for a while means
// that wake-ups do not arrive.

import { conditionOf } from '#shared/api/conditions.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { parseTime } from '#shared/time.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import type { ComponentProbe } from './deps.ts'

/** Longer than a sweep: by then even a lost wake-up has been repeated. */
const LAG_MAX_MS = 90_000

export function schedulerProbe({
  views,
  clock,
}: {
  views: LiveViews
  clock: Clock
}): ComponentProbe {
  return {
    name: 'scheduler',
    check: async (cluster) => {
      const reader = await (await views.open(cluster)).catchUp()
      const now = clock.now()
      const lags = (reader.list('pods') as readonly Pod[])
        .filter((pod) => !pod.spec.nodeName && !pod.metadata.deletionTimestamp)
        .filter((pod) => !conditionOf(pod, 'PodScheduled'))
        .map((pod) => now - (parseTime(pod.metadata.creationTimestamp) ?? now))
      const lag = Math.max(0, ...lags)
      if (lag > LAG_MAX_MS) throw new Error(`a pod has been waiting for ${Math.round(lag / 1000)}s`)
      return 'ok'
    },
  }
}
