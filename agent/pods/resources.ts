// What a container may use and who is killed first: kubelet's rules (pkg/kubelet/qos/policy.go).

import type { Container, Pod } from '#shared/api/pod.ts'
import { milliValue, wholeValue } from '#shared/quantity.ts'
import type { ContainerToStart } from '../runtime/runtime.ts'

/** Who must not be killed before all others: priority of system-cluster-critical and above. */
const CRITICAL_PRIORITY = 2_000_000_000
const GUARANTEED = -997
const BEST_EFFORT = 1000

/** Its limits and requests in the runtime's units. */
export function resourcesOf({
  resources,
}: Container): Pick<ContainerToStart, 'limits' | 'requests'> {
  const { limits = {}, requests = {} } = resources ?? {}
  const cpu = requests['cpu'] ?? limits['cpu']
  return {
    limits: {
      ...(limits['memory'] ? { memoryBytes: wholeValue(limits['memory']) } : {}),
      ...(limits['cpu'] ? { cpuMillis: milliValue(limits['cpu']) } : {}),
    },
    requests: cpu ? { cpuMillis: milliValue(cpu) } : {},
  }
}

/** The container's oom_score_adj on a node with so much memory. */
export function oomScoreAdjust(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  if ((pod.spec.priority ?? 0) >= CRITICAL_PRIORITY) return GUARANTEED
  const qos = qosOf(pod)
  if (qos === 'Guaranteed') return GUARANTEED
  if (qos === 'BestEffort') return BEST_EFFORT
  const memory = container.resources?.requests?.['memory']
  const share = memory ? Math.floor((1000 * wholeValue(memory)) / nodeMemoryBytes) : 0
  // Above the guaranteed, below those that asked for nothing.
  return Math.min(Math.max(1000 - share, 1000 + GUARANTEED), BEST_EFFORT - 1)
}

/** The class that the API has given, or would give. */
function qosOf({ spec, status }: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  if (status?.qosClass) return status.qosClass
  const all = [...(spec.initContainers ?? []), ...spec.containers].map(({ resources }) => resources)
  const asks = all.some((each) => each?.limits !== undefined || each?.requests !== undefined)
  if (!asks) return 'BestEffort'
  const isSure = all.every((each) =>
    ['cpu', 'memory'].every((name) => {
      const limit = each?.limits?.[name]
      return limit !== undefined && (each?.requests?.[name] ?? limit) === limit
    }),
  )
  return isSure ? 'Guaranteed' : 'Burstable'
}
