// What becomes of a Node when its VM changes, and of the pods on it. A VM cannot report its own death;
// the cloud can, and what it knows is in NodePool.status.instances (vm-state.ts). So nothing is waited
// for here: a VM that is stopped, deleted or replaced has no running containers, and its pods are
// replaced at once. Where only a health check speaks, pods are asked to go, with a brake for when many
// speak at once.
// Taints and their evictions: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/

import { conditionOf, withCondition } from '../api/conditions.ts'
import type { Condition } from '../api/meta.ts'
import type { Node, Taint } from '../api/node.ts'
import { NODE_POOL_LABEL, type NodePool } from '../api/node-pool.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { deleteAtOnce } from './delete.ts'
import { evictAll, evictions } from './node-evictions.ts'
import { IN_SYNC } from './outcome.ts'
import type { EventDraft, ObservedChange, Outcome, PlannedWrite, Reconciler } from './outcome.ts'
import { isEvictionBraked, isShuttingDown, NODE_POOLS, vmState, type VmState } from './vm-state.ts'

/** While the brake is on, how soon it is looked whether other nodes are well again. */
const BRAKE_RECHECK_MS = 10_000
const SOURCE = 'node-controller'

export const nodeLifecycleReconciler: Reconciler = { name: 'node-lifecycle', wakes, reconcile }

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, name } = splitKey(key)
  if (resource === 'nodes') return [key]
  if (resource === NODE_POOLS) {
    const named = [before, after].flatMap(
      (pool) => (pool as NodePool | undefined)?.status?.instances ?? [],
    )
    const labelled = reader.labelled('nodes', '', NODE_POOL_LABEL, name)
    const names = new Set([
      ...named.map((each) => each.name),
      ...labelled.map((each) => each.metadata.name),
    ])
    return [...names].map((each) => keyOf('nodes', '', each))
  }
  if (resource !== 'pods' || !after) return []
  const node = (after as Pod).spec.nodeName
  return node ? [keyOf('nodes', '', node)] : []
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  const node = reader.get(key) as Node | undefined
  if (!node || node.metadata.deletionTimestamp) return IN_SYNC
  const vm = vmState(reader, node)
  if (vm.is === 'gone') return remove(key, node, vm.why)
  const isBraked = vm.is === 'suspect' && isEvictionBraked(reader)
  const next = withVmState(node, vm, { isBraked, now })
  const pods = reader.podsOnNode(node.metadata.name) as readonly Pod[]
  const off: PlannedWrite[] = vm.is === 'off' ? pods.flatMap((pod) => deleteAtOnce(pod, now)) : []
  // Whoever does not answer the health check answers nobody else.
  const deaf = vm.is === 'suspect' && !isBraked ? pods.map((pod) => notReady(pod, now)) : pods
  const evicted = evict(vm, isBraked, { next, pods: deaf, now })
  const told = deaf.filter((pod, index) => pod !== pods[index])
  // A pod that goes as well is written once, with both.
  const writes: PlannedWrite[] = [
    { do: 'put', object: next },
    ...told.map((object): PlannedWrite => ({ do: 'put', object })),
    ...off,
    ...evicted.writes,
  ]
  const requeueAtMs = isBraked ? now + BRAKE_RECHECK_MS : evicted.requeueAtMs
  return {
    writes,
    ...(requeueAtMs === undefined ? {} : { requeueAtMs }),
    events: [...readyEvents(node, next), ...told.map(notReadyEvent), ...(evicted.events ?? [])],
    decisions:
      isBraked || vm.is === 'off'
        ? [{ key, by: 'node-lifecycle', text: describe(vm, isBraked, off.length) }]
        : [],
  }
}

function evict(
  vm: VmState,
  isBraked: boolean,
  { next, pods, now }: { next: Node; pods: readonly Pod[]; now: number },
): Outcome {
  if (vm.is === 'off') return IN_SYNC
  const isLost = vm.is === 'leaving' || (vm.is === 'suspect' && !isBraked)
  return isLost ? evictAll(pods, now) : evictions(next, pods, now)
}

function remove(key: Key, node: Node, why: string): Outcome {
  const { name } = node.metadata
  return {
    writes: [{ do: 'remove', key }],
    events: [
      {
        about: node,
        type: 'Normal',
        reason: 'RemovingNode',
        message: `Node ${name} event: Removing Node ${name} from Controller`,
        source: SOURCE,
      },
    ],
    decisions: [{ key, by: 'node-lifecycle', text: `removed: ${why}` }],
  }
}

/** Conditions under which a node takes no new pods. */
const PRESSURES: ReadonlyMap<string, string> = new Map([
  ['MemoryPressure', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'node.kubernetes.io/pid-pressure'],
  ['NetworkUnavailable', 'node.kubernetes.io/network-unavailable'],
])

const OURS: ReadonlySet<string> = new Set([
  'node.kubernetes.io/unschedulable',
  'node.kubernetes.io/not-ready',
  'node.kubernetes.io/unreachable',
  ...PRESSURES.values(),
])

function withVmState(
  node: Node,
  vm: VmState,
  { isBraked, now }: { isBraked: boolean; now: number },
): Node {
  const conditions = readyConditions(node, vm, now)
  const ready = conditionOf({ status: { conditions } }, 'Ready')?.status
  const wanted: Taint[] = []
  const taint = (key: string, effect: Taint['effect']): void => {
    const old = node.spec.taints?.find((each) => each.key === key && each.effect === effect)
    wanted.push(old ?? { key, effect, timeAdded: formatTime(now) })
  }
  if (node.spec.unschedulable) taint('node.kubernetes.io/unschedulable', 'NoSchedule')
  for (const [type, key] of PRESSURES) {
    if (conditionOf(node, type)?.status === 'True') taint(key, 'NoSchedule')
  }
  if (ready !== 'True') {
    const key = `node.kubernetes.io/${ready === 'Unknown' ? 'unreachable' : 'not-ready'}`
    taint(key, 'NoSchedule')
    // A node that has not said anything yet has nothing to evict.
    if (ready !== undefined && !isBraked) taint(key, 'NoExecute')
  }
  const taints = [...(node.spec.taints ?? []).filter((each) => !OURS.has(each.key)), ...wanted]
  const { taints: _, ...spec } = node.spec
  return {
    ...node,
    spec: taints.length > 0 ? { ...spec, taints } : spec,
    status: { ...node.status, conditions },
  }
}

/** The agent says that it is ready; while its VM is off or suspect nobody believes that. */
function readyConditions(
  node: Node,
  vm: VmState,
  now: number,
): NonNullable<Node['status']>['conditions'] {
  const old = node.status?.conditions ?? []
  const ready = conditionOf(node, 'Ready')
  if (!ready || vm.is === 'starting') return old
  // The agent itself has said why, and nobody knows better.
  if (vm.is === 'leaving' && isShuttingDown(node)) return old
  if (vm.is !== 'fine') {
    const message = `Kubelet stopped posting node status: ${vm.why}.`
    return withCondition(
      old,
      { ...ready, status: 'Unknown', reason: 'NodeStatusUnknown', message },
      now,
    )
  }
  if (ready.status !== 'Unknown' || ready.reason !== 'NodeStatusUnknown') return old
  const message = 'kubelet is posting ready status'
  return withCondition(old, { ...ready, status: 'True', reason: 'KubeletReady', message }, now)
}

/** As Kubernetes' node controller: the agent says Ready again when it is believed again. */
function notReady(pod: Pod, now: number): Pod {
  const ready = conditionOf(pod, 'Ready')
  if (ready?.status !== 'True') return pod
  const condition: Condition = { type: 'Ready', status: 'False' }
  const conditions = withCondition(pod.status?.conditions, condition, now)
  return { ...pod, status: { ...pod.status, conditions } }
}

function notReadyEvent(pod: Pod): EventDraft {
  const reason = 'NodeNotReady'
  return { about: pod, type: 'Warning', reason, message: 'Node is not ready', source: SOURCE }
}

function readyEvents(before: Node, after: Node): EventDraft[] {
  const was = conditionOf(before, 'Ready')?.status
  const is = conditionOf(after, 'Ready')?.status
  if (was === is || was === undefined) return []
  const reason = is === 'True' ? 'NodeReady' : 'NodeNotReady'
  const message = `Node ${after.metadata.name} status is now: ${reason}`
  return [{ about: after, type: 'Normal', reason, message, source: SOURCE }]
}

function describe(vm: VmState, isBraked: boolean, removed: number): string {
  const why = 'why' in vm ? vm.why : ''
  return isBraked
    ? `no eviction: ${why}, but so do most nodes or all of them`
    : `not ready: ${why}; ${removed} pods removed`
}
