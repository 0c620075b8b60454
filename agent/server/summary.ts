// GET /stats/summary: what the node's containers use, in the shape of kubelet's summary API as far as
// it is known here (https://kubernetes.io/docs/reference/instrumentation/node-metrics/).

import type { Pods } from '../pods/pods.ts'
import type { Runtime, Usage } from '../runtime/runtime.ts'

interface ContainerSummary {
  name: string
  cpu: { time: string; usageCoreNanoSeconds: number }
  memory: { time: string; workingSetBytes: number }
}

/** The summary as JSON. */
export async function summaryOf(from: {
  nodeName: string
  pods: Pods
  runtime: Runtime
}): Promise<unknown> {
  const time = new Date().toISOString()
  const pods = await Promise.all(
    from.pods.all().map(async (worker) => {
      const { name, namespace, uid } = worker.record.pod.metadata
      const containers = await Promise.all(
        worker.running().map(async (each): Promise<ContainerSummary[]> => {
          const usage = await from.runtime.usage(each.id)
          return usage ? [describe(each.name, usage, time)] : []
        }),
      )
      return { podRef: { name, namespace, uid }, containers: containers.flat() }
    }),
  )
  return { node: { nodeName: from.nodeName }, pods }
}

function describe(name: string, usage: Usage, time: string): ContainerSummary {
  return {
    name,
    cpu: { time, usageCoreNanoSeconds: usage.cpuNanos },
    memory: { time, workingSetBytes: usage.memoryBytes },
  }
}
