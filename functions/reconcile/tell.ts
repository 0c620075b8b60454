// Wakes those whom a change concerns. Messages carry keys, never state; a lost one is repeated by the
// sweep.

import { TOPICS } from '#shared/ports/bus.ts'
import type { Bus } from '#shared/ports/bus.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Reader } from '#shared/view/reader.ts'
import { EVERY_NODE } from './concerns.ts'
import type { Concerns } from './concerns.ts'

/** Publishes and takes off `concerns` what was published; what failed stays in it. */
export async function tell(
  { bus, log }: { bus: Bus; log: Log },
  cluster: string,
  concerns: Concerns,
  reader: Reader,
): Promise<void> {
  const nodes = recipients(concerns, reader)
  try {
    for (const node of nodes) {
      await bus.publish(TOPICS.nodes, { attributes: { cluster, node }, data: '{}' })
    }
    concerns.nodes.clear()
    for (const name of ['cloud', 'deploys'] as const) {
      if (!concerns[name]) continue
      await bus.publish(TOPICS[name], { attributes: { cluster }, data: '{}', orderingKey: cluster })
      concerns[name] = false
    }
  } catch (error) {
    log.warn('a wake-up could not be published', { cluster, error })
  }
}

/** One message for all nodes instead of one for each, and none where there are no nodes. */
function recipients(concerns: Concerns, reader: Reader): string[] {
  if (concerns.nodes.size === 0) return []
  const count = reader.list('nodes').length
  if (concerns.nodes.has(EVERY_NODE)) return count > 0 ? [EVERY_NODE] : []
  return concerns.nodes.size > 1 && concerns.nodes.size >= count
    ? [EVERY_NODE]
    : [...concerns.nodes].sort()
}
