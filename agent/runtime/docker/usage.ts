// What a container uses, from one look at its control groups.

import type Docker from 'dockerode'
import { isRecord } from '../../json.ts'
import type { Usage } from '../runtime.ts'
import { soon } from './engine.ts'

/** Undefined: it is not running. */
export async function usageOf(container: Docker.Container): Promise<Usage | undefined> {
  try {
    // Without one-shot the engine waits a second for another look, to compute a share.
    const stats: unknown = await container.stats({ stream: false, 'one-shot': true, ...soon() })
    return readUsage(stats)
  } catch {
    return undefined
  }
}

/** Of its own files: what differs from its image. Undefined: it is not running. */
export async function writtenBytesOf(container: Docker.Container): Promise<number | undefined> {
  try {
    const wanted = { size: true, ...soon() }
    const info: unknown = await container.inspect(wanted)
    return numberOf(info, 'SizeRw')
  } catch {
    return undefined
  }
}

/** The working set is what cannot be given back at once, as kubelet's: without inactive file pages. */
function readUsage(stats: unknown): Usage | undefined {
  const memory = member(stats, 'memory_stats')
  const usage = numberOf(memory, 'usage')
  const cpu = numberOf(member(member(stats, 'cpu_stats'), 'cpu_usage'), 'total_usage')
  if (usage === undefined || cpu === undefined) return undefined
  const details = member(memory, 'stats')
  const idle = numberOf(details, 'total_inactive_file') ?? numberOf(details, 'inactive_file') ?? 0
  return { memoryBytes: Math.max(0, usage - idle), cpuNanos: cpu }
}

function member(value: unknown, key: string): unknown {
  return isRecord(value) ? value[key] : undefined
}

function numberOf(value: unknown, key: string): number | undefined {
  const found = member(value, key)
  return typeof found === 'number' ? found : undefined
}
