// Which of a pod's limits on the node's disk it has passed: kubelet's rules and words
// (pkg/kubelet/eviction: localStorageEviction). Pure.

import type { Container, Pod } from '#shared/api/pod.ts'
import { addQuantities, compareQuantities, maxQuantity, wholeValue } from '#shared/quantity.ts'

/** Bytes on the node's disk. */
export interface StorageUsage {
  /** Of its emptyDir volumes that are not memory, by name. */
  emptyDirs: ReadonlyMap<string, number>
  /** What each running container has written into its own files, and its logs. */
  containers: ReadonlyMap<string, number>
}

const STORAGE = 'ephemeral-storage'

/** True when there is anything to look at. */
export function hasStorageLimit(pod: Pod): boolean {
  return limitedDirs(pod).length > 0 || podLimit(pod) !== undefined
}

/** What people are told of the first limit that is passed; undefined: none is. */
export function excessOf(pod: Pod, usage: StorageUsage): string | undefined {
  for (const { name, sizeLimit } of limitedDirs(pod)) {
    if ((usage.emptyDirs.get(name) ?? 0) <= wholeValue(sizeLimit)) continue
    return `Usage of EmptyDir volume "${name}" exceeds the limit "${sizeLimit}". `
  }
  const limit = podLimit(pod)
  const total = sum(usage.emptyDirs) + sum(usage.containers)
  if (limit !== undefined && total > wholeValue(limit)) {
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${limit}. `
  }
  for (const container of pod.spec.containers) {
    const own = limitOf(container)
    if (own === undefined || (usage.containers.get(container.name) ?? 0) <= wholeValue(own))
      continue
    return `Container ${container.name} exceeded its local ephemeral storage limit "${own}". `
  }
  return undefined
}

function limitedDirs({ spec }: Pod): { name: string; sizeLimit: string }[] {
  return (spec.volumes ?? []).flatMap(({ name, emptyDir }) => {
    const { medium, sizeLimit } = emptyDir ?? {}
    // Memory is no larger than its limit by itself.
    if (medium === 'Memory' || sizeLimit === undefined || wholeValue(sizeLimit) <= 0) return []
    return [{ name, sizeLimit }]
  })
}

/** Of all that run together, or of the init container that may use the most. */
function podLimit({ spec }: Pod): string | undefined {
  const inits = spec.initContainers ?? []
  const together = [...spec.containers, ...inits.filter(isSidecar)].flatMap(
    (container) => limitOf(container) ?? [],
  )
  const alone = inits
    .filter((container) => !isSidecar(container))
    .flatMap((container) => limitOf(container) ?? [])
  const all = [
    ...(together.length > 0 ? [together.reduce((total, each) => addQuantities(total, each))] : []),
    ...alone,
  ]
  return all.length > 0 ? all.reduce((most, each) => maxQuantity(most, each)) : undefined
}

function sum(parts: ReadonlyMap<string, number>): number {
  return [...parts.values()].reduce((total, bytes) => total + bytes, 0)
}

function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always'
}

function limitOf({ resources }: Container): string | undefined {
  const limit = resources?.limits?.[STORAGE]
  return compareQuantities(limit, '0') > 0 ? limit : undefined
}
