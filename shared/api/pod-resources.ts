// What a pod asks of a node: the sum that the scheduler books, and the quality-of-service class that
// follows from requests and limits. The rules are Kubernetes' resource helpers and qos.ComputePodQOS.

import { addQuantities, compareQuantities, maxQuantity } from '../quantity.ts'
import type { Container, Pod, PodSpec, PodStatus, Quantity } from './pod.ts'

export type ResourceList = Record<string, Quantity>

/**
 * The pod's requests, per resource: the containers and the init containers that keep running
 * together, or the hungriest moment of starting, whichever is more; plus spec.overhead.
 */
export function podRequests(pod: { spec: PodSpec }): ResourceList {
  return podTotal(pod.spec, (container) => container.resources?.requests ?? {})
}

/** The pod's limits, in the same way. A resource that one container does not limit counts as the rest's sum. */
export function podLimits(pod: { spec: PodSpec }): ResourceList {
  return podTotal(pod.spec, (container) => container.resources?.limits ?? {})
}

function podTotal(spec: PodSpec, listOf: (container: Container) => ResourceList): ResourceList {
  let running: ResourceList = {}
  for (const container of spec.containers) running = sum(running, listOf(container))

  let sidecars: ResourceList = {}
  let starting: ResourceList = {}
  for (const container of spec.initContainers ?? []) {
    const own = listOf(container)
    if (container.restartPolicy === 'Always') {
      running = sum(running, own)
      sidecars = sum(sidecars, own)
      starting = most(starting, sidecars)
    } else {
      starting = most(starting, sum(own, sidecars))
    }
  }
  const total = most(running, starting)
  return spec.overhead ? sum(total, spec.overhead) : total
}

function sum(a: ResourceList, b: ResourceList): ResourceList {
  const total = { ...a }
  for (const [resource, quantity] of Object.entries(b)) {
    const before = total[resource]
    total[resource] = before === undefined ? quantity : addQuantities(before, quantity)
  }
  return total
}

function most(a: ResourceList, b: ResourceList): ResourceList {
  const total = { ...a }
  for (const [resource, quantity] of Object.entries(b)) {
    const before = total[resource]
    total[resource] = before === undefined ? quantity : maxQuantity(before, quantity)
  }
  return total
}

const QOS_RESOURCES = ['cpu', 'memory'] as const

/** `Guaranteed`, `Burstable` or `BestEffort`, from requests and limits of cpu and memory. */
export function qosClassOf(pod: Pod | { spec: PodSpec }): NonNullable<PodStatus['qosClass']> {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const isPositive = (quantity: Quantity | undefined): boolean =>
    compareQuantities(quantity, '0') > 0
  let asksAnything = false
  let isGuaranteed = true
  for (const { resources } of containers) {
    for (const resource of QOS_RESOURCES) {
      const request = resources?.requests?.[resource]
      const limit = resources?.limits?.[resource]
      if (isPositive(request) || isPositive(limit)) asksAnything = true
      if (
        !isPositive(limit) ||
        (request !== undefined && compareQuantities(request, limit) !== 0)
      ) {
        isGuaranteed = false
      }
    }
  }
  if (!asksAnything) return 'BestEffort'
  return isGuaranteed ? 'Guaranteed' : 'Burstable'
}
