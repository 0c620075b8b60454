// What the network remembers of its pods across a restart of the agent: without it, ports of the node
// would lead nowhere until each pod was looked at again.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isRecord } from '../../json.ts'
import type { HostPort } from '../network.ts'

export interface KernelPod {
  ip: string
  hostPorts: HostPort[]
}

/** Writes the pods, by uid. */
export function keepPods(file: string, pods: ReadonlyMap<string, KernelPod>): void {
  writeFileSync(`${file}.new`, JSON.stringify(Object.fromEntries(pods)))
  renameSync(`${file}.new`, file)
}

/** Reads them; none when there is no file, or a torn one. */
export function keptPods(file: string): Map<string, KernelPod> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return new Map(Object.entries(isRecord(json) ? json : {}).filter(isKept))
  } catch {
    return new Map()
  }
}

function isKept(entry: [string, unknown]): entry is [string, KernelPod] {
  const [, pod] = entry
  return isRecord(pod) && typeof pod['ip'] === 'string' && Array.isArray(pod['hostPorts'])
}
