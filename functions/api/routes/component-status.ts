// ComponentStatus: every part of the control plane is asked, at the same time, for at most two
// seconds each. The answer never waits longer than that.

import type { ComponentStatus } from '#shared/api/component-status.ts'
import type { ObjectMeta } from '#shared/api/meta.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { ComponentProbe } from '../deps.ts'

const PROBE_MS = 2000

/** The objects, in the order of the probes. */
export function probeComponents(
  probes: readonly ComponentProbe[],
  cluster: string,
  clock: Clock,
): Promise<ComponentStatus[]> {
  return Promise.all(probes.map((probe) => probeOne(probe, cluster, clock)))
}

async function probeOne(
  probe: ComponentProbe,
  cluster: string,
  clock: Clock,
): Promise<ComponentStatus> {
  const answered = new AbortController()
  const late = async (): Promise<never> => {
    await clock.sleep(PROBE_MS, answered.signal)
    throw new Error(`no answer within ${PROBE_MS / 1000}s`)
  }
  const object: ComponentStatus = {
    apiVersion: 'v1',
    kind: 'ComponentStatus',
    // It was never created: an empty time would be no time at all for Go clients.
    metadata: { name: probe.name } as ObjectMeta,
  }
  try {
    const message = await Promise.race([probe.check(cluster), late()])
    return { ...object, conditions: [{ type: 'Healthy', status: 'True', message }] }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ...object, conditions: [{ type: 'Healthy', status: 'False', message: why }] }
  } finally {
    answered.abort()
  }
}
