// The signals function: a log sink says that something happened to a VM; its cluster's cloud work is
// asked for, and that lists what is true. An entry carries no state further: it may be late, doubled,
// or out of order.

import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { TOPICS, type Bus, type Message } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { clusterMark, markIn } from '../cloud/names.ts'
import { readLogEntry } from './log-entry.ts'

export interface SignalsDeps {
  views: LiveViews
  bus: Bus
  clock: Clock
  log: Log
  /** How long entries about one cluster are gathered; a host that dies takes many VMs at once. */
  debounceMs?: number
}

export interface Signals {
  /** Resolves when the cluster was woken (or there is none). Rejects when that must be tried again. */
  handle(message: Message): Promise<void>
}

const DEBOUNCE_MS = 200

export function createSignals(deps: SignalsDeps): Signals {
  const { views, bus, clock, log } = deps
  const debounceMs = deps.debounceMs ?? DEBOUNCE_MS
  const gathering = new Map<string, Promise<void>>()

  /** The clusters whose mark is in the name: one, as good as always. */
  async function clustersOf(name: string): Promise<string[]> {
    const mark = markIn(name)
    if (!mark) return []
    const fleet = await views.open(FLEET)
    const known = (await fleet.catchUp()).list(CLUSTERS).map(({ metadata }) => metadata.name)
    return known.filter((cluster) => clusterMark(cluster) === mark)
  }

  /** All who come while it waits share one message. */
  function wake(cluster: string): Promise<void> {
    const under = gathering.get(cluster)
    if (under) return under
    const waking = (async () => {
      await clock.sleep(debounceMs)
      // From here on what is new is not in this message.
      gathering.delete(cluster)
      await bus.publish(TOPICS.cloud, { attributes: { cluster }, data: '{}', orderingKey: cluster })
    })()
    gathering.set(cluster, waking)
    return waking
  }

  return {
    async handle(message) {
      const signal = readLogEntry(message.data)
      if (!signal) return
      const clusters = await clustersOf(signal.name)
      if (clusters.length === 0) {
        log.info('a log entry about a VM of nobody here', { ...signal })
        return
      }
      log.info('a log entry about a VM', { ...signal, clusters })
      await Promise.all(clusters.map(wake))
    },
  }
}
