// The downward API: what a pod may know of itself, for variables and volumes.

import type { Container, Pod } from '#shared/api/pod.ts'
import { milliValue, wholeValue } from '#shared/quantity.ts'

/** A pod and what the node adds to it. */
export interface PodFacts {
  pod: Pod
  podIP: string
  hostIP: string
  /** Stands in for a limit that is not set. */
  allocatable: { cpuMillis: number; memoryBytes: number }
}

const QUOTED_KEY = /^metadata\.(labels|annotations)\['([^']*)'\]$/

/** The text of a field, '' when it is not set; undefined: there is no such field. */
export function fieldOf(facts: PodFacts, path: string): string | undefined {
  const { pod, podIP, hostIP } = facts
  const quoted = QUOTED_KEY.exec(path)
  if (quoted) {
    const map = quoted[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations
    return map?.[quoted[2] ?? ''] ?? ''
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid
    case 'metadata.labels':
      return printMap(pod.metadata.labels)
    case 'metadata.annotations':
      return printMap(pod.metadata.annotations)
    case 'spec.nodeName':
      return pod.spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default'
    case 'status.hostIP':
    case 'status.hostIPs':
      return hostIP
    case 'status.podIP':
    case 'status.podIPs':
      return podIP
    default:
      return undefined
  }
}

/** `limits.cpu`, `requests.memory` …, divided and rounded up, as a decimal number. */
export function resourceFieldOf(
  facts: PodFacts,
  container: Container,
  reference: { resource: string; divisor?: string },
): string {
  const [list = '', ...rest] = reference.resource.split('.')
  const name = rest.join('.')
  const resources = container.resources ?? {}
  const quantity = list === 'requests' ? resources.requests?.[name] : resources.limits?.[name]
  const divisor = reference.divisor && reference.divisor !== '0' ? reference.divisor : '1'
  if (name === 'cpu') {
    const millis = quantity ? milliValue(quantity) : fallback(list, facts.allocatable.cpuMillis)
    return String(Math.ceil(millis / milliValue(divisor)))
  }
  const bytes = quantity
    ? wholeValue(quantity)
    : fallback(list, name === 'memory' ? facts.allocatable.memoryBytes : 0)
  return String(Math.ceil(bytes / wholeValue(divisor)))
}

/** A limit that is not set is all the node has; a request that is not set is nothing. */
function fallback(list: string, allocatable: number): number {
  return list === 'limits' ? allocatable : 0
}

/** `key="value"` lines, sorted, as kubelet writes labels into a downward volume. */
function printMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')
}
