// The cluster as one scheduling pass sees it: every node with what is booked on it, brought forward by
// each placement of the pass.

import { controllerOf } from '../api/owner.ts'
import type { LabelSelector } from '../api/meta.ts'
import type { Node, Taint } from '../api/node.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import type { Pod } from '../api/pod.ts'
import { matches, selectorOf } from '../selector.ts'
import type { Selector } from '../selector.ts'
import type { Reader } from '../view/reader.ts'
import { capacityOf, usageOf } from './resources.ts'
import type { Capacity, PodDemand } from './resources.ts'

const NO_TAINTS: readonly Taint[] = []
const NO_LABELS: Readonly<Record<string, string>> = {}

/** A node in this pass. The numbers grow as pods are placed on it. */
export interface Slot {
  index: number
  name: string
  node: Node
  labels: Readonly<Record<string, string>>
  taints: readonly Taint[]
  isUnschedulable: boolean
  capacity: Capacity
  cpu: number
  memory: number
  others: ReadonlyMap<string, number> | undefined
  weighedCpu: number
  weighedMemory: number
  pods: number
  hostPorts: ReadonlySet<string>
  guarded: readonly Pod[]
}

/** How many pods of some kind each node has, by the node's index. */
export interface PodCount {
  namespaces: ReadonlySet<string>
  selector: Selector
  byNode: Int32Array
  total: number
}

export class Snapshot {
  readonly reader: Reader
  readonly slots: readonly Slot[]
  /** Nodes that run a pod which wants nobody of some kind near it. */
  readonly guarded: Set<Slot>
  /** The effects of all taints, so that a rule about taints can stand back where there are none. */
  readonly taintEffects: ReadonlySet<Taint['effect']>
  readonly isAnyUnschedulable: boolean
  readonly #byName = new Map<string, Slot>()
  readonly #counts = new Map<string, PodCount>()
  readonly #owners = new Map<string, Int32Array>()

  constructor(reader: Reader) {
    this.reader = reader
    const nodes = reader.list('nodes') as readonly Node[]
    this.slots = nodes.map((node, index) => slotOf(reader, node, index))
    for (const slot of this.slots) this.#byName.set(slot.name, slot)
    this.guarded = new Set(this.slots.filter(({ guarded }) => guarded.length > 0))
    this.taintEffects = new Set(
      this.slots.flatMap(({ taints }) => taints.map(({ effect }) => effect)),
    )
    this.isAnyUnschedulable = this.slots.some(({ isUnschedulable }) => isUnschedulable)
  }

  slot(name: string): Slot | undefined {
    return this.#byName.get(name)
  }

  /** How many active pods of this controller each node has. */
  ofOwner(uid: string): Int32Array {
    let counts = this.#owners.get(uid)
    if (!counts) {
      counts = new Int32Array(this.slots.length)
      for (const object of this.reader.ownedBy(uid)) {
        if (object.kind === 'Pod') this.#add(counts, object as Pod)
      }
      this.#owners.set(uid, counts)
    }
    return counts
  }

  /** How many running pods of these namespaces the selector finds on each node. */
  count(namespaces: readonly string[], labelSelector: LabelSelector | undefined): PodCount {
    const id = JSON.stringify([namespaces, labelSelector])
    let count = this.#counts.get(id)
    if (!count) {
      count = this.#counted(namespaces, selectorOf(labelSelector))
      this.#counts.set(id, count)
    }
    return count
  }

  /** Books a pod on a node for the rest of the pass. */
  place(pod: Pod, slot: Slot, demand: PodDemand): void {
    slot.cpu += demand.cpu
    slot.memory += demand.memory
    slot.weighedCpu += demand.weighedCpu
    slot.weighedMemory += demand.weighedMemory
    slot.pods++
    if (demand.others) slot.others = added(slot.others, demand.others)
    if (demand.hostPorts.length > 0) {
      slot.hostPorts = new Set([...slot.hostPorts, ...demand.hostPorts])
    }
    if (pod.spec.affinity?.podAntiAffinity) {
      slot.guarded = [...slot.guarded, pod]
      this.guarded.add(slot)
    }
    const owner = controllerOf(pod)
    const counts = owner ? this.#owners.get(owner.uid) : undefined
    if (counts) counts[slot.index] = (counts[slot.index] ?? 0) + 1
    for (const count of this.#counts.values()) {
      if (!isCounted(count, pod)) continue
      count.byNode[slot.index] = (count.byNode[slot.index] ?? 0) + 1
      count.total++
    }
  }

  #counted(namespaces: readonly string[], selector: Selector): PodCount {
    const byNode = new Int32Array(this.slots.length)
    const count: PodCount = { namespaces: new Set(namespaces), selector, byNode, total: 0 }
    for (const namespace of count.namespaces) {
      for (const object of this.reader.list('pods', namespace)) {
        const pod = object as Pod
        if (isCounted(count, pod)) count.total += this.#add(byNode, pod)
      }
    }
    return count
  }

  /** Counts a pod on its node; answers how many were counted. */
  #add(counts: Int32Array, pod: Pod): number {
    const slot = pod.spec.nodeName ? this.#byName.get(pod.spec.nodeName) : undefined
    if (!slot || isPodTerminal(pod) || pod.metadata.deletionTimestamp) return 0
    counts[slot.index] = (counts[slot.index] ?? 0) + 1
    return 1
  }
}

function isCounted({ namespaces, selector }: PodCount, { metadata }: Pod): boolean {
  return namespaces.has(metadata.namespace ?? '') && matches(selector, metadata.labels)
}

function slotOf(reader: Reader, node: Node, index: number): Slot {
  const { name, labels } = node.metadata
  const usage = usageOf(reader.podsOnNode(name) as readonly Pod[])
  return {
    index,
    name,
    node,
    labels: labels ?? NO_LABELS,
    taints: node.spec.taints ?? NO_TAINTS,
    isUnschedulable: node.spec.unschedulable === true,
    capacity: capacityOf(node),
    cpu: usage.cpu,
    memory: usage.memory,
    others: usage.others,
    weighedCpu: usage.weighedCpu,
    weighedMemory: usage.weighedMemory,
    pods: usage.pods,
    hostPorts: usage.hostPorts,
    guarded: usage.guarded,
  }
}

function added(
  a: ReadonlyMap<string, number> | undefined,
  b: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const sum = new Map(a)
  for (const [resource, amount] of b) sum.set(resource, (sum.get(resource) ?? 0) + amount)
  return sum
}
