// What pods ask for and nodes have, as numbers. Computed once per object and once per list of pods:
// stored objects and lists never change, so whoever sees the same one gets the same answer.

import type { Node } from '../api/node.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import { podRequests } from '../api/pod-resources.ts'
import type { Pod } from '../api/pod.ts'
import { milliValue, wholeValue } from '../quantity.ts'

/** Resource → amount: thousandths of cpu, units of everything else. */
export interface Amounts {
  cpu: number
  memory: number
  /** Everything that is neither: ephemeral-storage, extended resources. Usually not there. */
  others: ReadonlyMap<string, number> | undefined
}

/** What a pod without requests counts as when nodes are compared (not when they are filled). */
const UNASKED_CPU = 100
const UNASKED_MEMORY = 200 * 1024 * 1024

/** A pod as the scheduler books it. */
export interface PodDemand extends Amounts {
  /** For comparing nodes: as if a pod without requests asked for a little. */
  weighedCpu: number
  weighedMemory: number
  /** `TCP/8080/0.0.0.0` for each port it takes on the node. */
  hostPorts: readonly string[]
}

/** The sum of a node's pods. */
export interface Usage {
  cpu: number
  memory: number
  others: ReadonlyMap<string, number> | undefined
  weighedCpu: number
  weighedMemory: number
  pods: number
  hostPorts: ReadonlySet<string>
  /** Pods that want nobody of some kind near them. */
  guarded: readonly Pod[]
}

/** What a node offers. */
export interface Capacity extends Amounts {
  pods: number
}

const NO_PORTS: readonly string[] = []
const demands = new WeakMap<Pod, PodDemand>()
const capacities = new WeakMap<Node, Capacity>()
const usages = new WeakMap<readonly Pod[], Usage>()

export function demandOf(pod: Pod): PodDemand {
  let demand = demands.get(pod)
  if (!demand) {
    const amounts = amountsOf(podRequests(pod))
    demand = {
      ...amounts,
      weighedCpu: amounts.cpu || UNASKED_CPU,
      weighedMemory: amounts.memory || UNASKED_MEMORY,
      hostPorts: hostPortsOf(pod),
    }
    demands.set(pod, demand)
  }
  return demand
}

export function capacityOf(node: Node): Capacity {
  let capacity = capacities.get(node)
  if (!capacity) {
    const { pods, ...allocatable } = node.status?.allocatable ?? {}
    capacity = { ...amountsOf(allocatable), pods: wholeValue(pods) }
    capacities.set(node, capacity)
  }
  return capacity
}

/** The sum over a node's pods; those that have ended take nothing. */
export function usageOf(pods: readonly Pod[]): Usage {
  let usage = usages.get(pods)
  if (!usage) {
    usage = sumOf(pods.filter((pod) => !isPodTerminal(pod)))
    usages.set(pods, usage)
  }
  return usage
}

function sumOf(pods: readonly Pod[]): Usage {
  const sum = { cpu: 0, memory: 0, weighedCpu: 0, weighedMemory: 0 }
  const others = new Map<string, number>()
  const hostPorts = new Set<string>()
  for (const pod of pods) {
    const demand = demandOf(pod)
    sum.cpu += demand.cpu
    sum.memory += demand.memory
    sum.weighedCpu += demand.weighedCpu
    sum.weighedMemory += demand.weighedMemory
    for (const [resource, amount] of demand.others ?? []) {
      others.set(resource, (others.get(resource) ?? 0) + amount)
    }
    for (const port of demand.hostPorts) hostPorts.add(port)
  }
  const guarded = pods.filter(
    (pod) =>
      pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length,
  )
  return {
    ...sum,
    others: others.size > 0 ? others : undefined,
    pods: pods.length,
    hostPorts,
    guarded,
  }
}

function amountsOf(list: Readonly<Record<string, string>>): Amounts {
  const { cpu, memory, ...rest } = list
  const others = Object.entries(rest).map(([resource, quantity]): [string, number] => [
    resource,
    wholeValue(quantity),
  ])
  return {
    cpu: milliValue(cpu),
    memory: wholeValue(memory),
    others: others.length > 0 ? new Map(others) : undefined,
  }
}

function hostPortsOf({ spec }: Pod): readonly string[] {
  const ports = spec.containers.flatMap((container) => container.ports ?? [])
  const taken = ports.filter(({ hostPort }) => hostPort)
  if (taken.length === 0) return NO_PORTS
  return taken.map(
    ({ hostPort, hostIP, protocol }) => `${protocol ?? 'TCP'}/${hostPort}/${hostIP || '0.0.0.0'}`,
  )
}
