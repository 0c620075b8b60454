// What becomes of a Node when its VM changes, and of the pods on it. A VM cannot report its own death;
// the cloud can, and what it knows is in NodePool.status.instances (vm-state.ts). So nothing is waited
// for here: a VM that is stopped, deleted or replaced has no running containers, and its pods are
// replaced at once. Where only a health check speaks, traffic leaves at once, and pods are asked to go
// when the agent is silent too (suspicion.ts), with a brake for when many are (disruption.ts).
// Taints and their evictions: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/

import { conditionOf, withCondition } from '../api/conditions.ts'
import type { Condition } from '../api/meta.ts'
import { ASKED_ANNOTATION, type Node, type Taint } from '../api/node.ts'
import { NODE_POOL_LABEL, type NodePool } from '../api/node-pool.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import { formatTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { deleteAtOnce, deletePolitely } from './delete.ts'
import { evictAll, evictions } from './node-evictions.ts'
import { IN_SYNC } from './outcome.ts'
import type { EventDraft, ObservedChange, Outcome, PlannedWrite, Reconciler } from './outcome.ts'
import { isEvictionBraked, zoneOf } from './disruption.ts'
import { isFenced, isSingleWriter } from './fence.ts'
import {
  wasSilentWithMany,
  FAILS_AFTER_MANY,
  FAILS_ALONE,
  FAILS_WITH_MANY,
  HEALTH_CHECK_FAILING,
  suspicionAfterMany,
  suspicionOf,
  type Suspicion,
} from './suspicion.ts'
import { isShuttingDown, NODE_POOLS, vmState, type VmState } from './vm-state.ts'

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

/** What is known of a Node's VM, and what is made of it. */
interface Verdict {
  vm: VmState
  /** Of a VM that fails its health check. */
  suspicion: Suspicion | undefined
  /** It fails its health check, and its agent has said that it lives: it is believed. */
  isBelieved: boolean
  isBraked: boolean
  /** Only the brake has kept it from being lost, and that is off now: its time begins anew. */
  isReleased: boolean
  /** Its pods are asked to go. */
  isLost: boolean
}

function judge(reader: Reader, node: Node, now: number): Verdict {
  const vm = vmState(reader, node)
  const known = vm.is === 'suspect' ? suspicionOf(node, now) : undefined
  const isOpen = known !== undefined && known.is !== 'answered'
  const isBraked = isOpen && isEvictionBraked(reader, zoneOf(node), now)
  const isReleased = isOpen && !isBraked && wasSilentWithMany(node)
  const suspicion = isReleased ? suspicionAfterMany(node, now) : known
  const isBelieved = suspicion?.is === 'answered'
  const isLost = vm.is === 'leaving' || (suspicion?.is === 'silent' && !isBraked)
  return { vm, suspicion, isBelieved, isBraked, isReleased, isLost }
}

function reconcile(reader: Reader, key: Key, now: number): Outcome {
  const node = reader.get(key) as Node | undefined
  if (!node || node.metadata.deletionTimestamp) return IN_SYNC
  const verdict = judge(reader, node, now)
  const { vm, suspicion, isBelieved, isBraked, isLost } = verdict
  if (vm.is === 'gone') return remove(key, node, vm.why)
  const next = withVerdict(node, verdict, now)
  const pods = reader.podsOnNode(node.metadata.name) as readonly Pod[]
  const off = vm.is === 'off' ? pods.flatMap((pod) => removal(reader, node, pod, now)) : []
  // Whoever does not answer the health check answers nobody else, unless he says so.
  const isDeaf = vm.is === 'suspect' && !isBraked && !isBelieved
  const deaf = isDeaf ? pods.map((pod) => notReady(pod, now)) : pods
  const evicted = vm.is === 'off' ? IN_SYNC : evict(isLost, { next, pods: deaf, now })
  const told = deaf.filter((pod, index) => pod !== pods[index])
  // A pod that goes as well is written once, with both.
  const writes: PlannedWrite[] = [
    { do: 'put', object: next },
    ...told.map((object): PlannedWrite => ({ do: 'put', object })),
    ...off,
    ...evicted.writes,
  ]
  const requeueAtMs = earliest(
    isBraked ? now + BRAKE_RECHECK_MS : evicted.requeueAtMs,
    suspicion?.nextAtMs,
  )
  return {
    writes,
    ...(requeueAtMs === undefined ? {} : { requeueAtMs }),
    events: [...readyEvents(node, next), ...told.map(notReadyEvent), ...(evicted.events ?? [])],
    decisions:
      suspicion || vm.is === 'off'
        ? [{ key, by: 'node-lifecycle', text: describe(verdict, off.length) }]
        : [],
  }
}

/** A pod of a VM that does not run: at once, unless it alone may write and the VM might go on. */
function removal(reader: Reader, node: Node, pod: Pod, now: number): PlannedWrite[] {
  const isSafe = !isSingleWriter(pod) || isFenced(reader, { node: node.metadata.name })
  return isSafe ? deleteAtOnce(pod, now) : deletePolitely(pod, now)
}

function earliest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  return known.length > 0 ? Math.min(...known) : undefined
}

function evict(
  isLost: boolean,
  { next, pods, now }: { next: Node; pods: readonly Pod[]; now: number },
): Outcome {
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
  [HEALTH_CHECK_FAILING, 'wherry.dev/health-check-failing'],
])

const OURS: ReadonlySet<string> = new Set([
  'node.kubernetes.io/unschedulable',
  'node.kubernetes.io/not-ready',
  'node.kubernetes.io/unreachable',
  ...PRESSURES.values(),
])

function withVerdict(node: Node, verdict: Verdict, now: number): Node {
  const conditions = conditionsOf(node, verdict, now)
  const ready = conditionOf({ status: { conditions } }, 'Ready')?.status
  const wanted: Taint[] = []
  const taint = (key: string, effect: Taint['effect']): void => {
    const old = node.spec.taints?.find((each) => each.key === key && each.effect === effect)
    wanted.push(old ?? { key, effect, timeAdded: formatTime(now) })
  }
  if (node.spec.unschedulable) taint('node.kubernetes.io/unschedulable', 'NoSchedule')
  for (const [type, key] of PRESSURES) {
    if (conditionOf({ status: { conditions } }, type)?.status === 'True') taint(key, 'NoSchedule')
  }
  if (ready !== 'True') {
    const key = `node.kubernetes.io/${ready === 'Unknown' ? 'unreachable' : 'not-ready'}`
    taint(key, 'NoSchedule')
    const isUndecided = verdict.isBraked || verdict.suspicion?.is === 'asked'
    // A node that has not said anything yet has nothing to evict.
    if (ready !== undefined && !isUndecided) taint(key, 'NoExecute')
  }
  const taints = [...(node.spec.taints ?? []).filter((each) => !OURS.has(each.key)), ...wanted]
  const { taints: _, ...spec } = node.spec
  return {
    ...node,
    metadata: withQuestion(node, verdict.suspicion),
    spec: taints.length > 0 ? { ...spec, taints } : spec,
    status: { ...node.status, conditions },
  }
}

/** The question to the agent. It stays when the check passes again, with the answer. */
function withQuestion({ metadata }: Node, suspicion: Suspicion | undefined): Node['metadata'] {
  const { askedAt } = suspicion ?? {}
  if (!askedAt) return metadata
  const annotations = { ...metadata.annotations, [ASKED_ANNOTATION]: askedAt }
  return { ...metadata, annotations }
}

function conditionsOf(
  node: Node,
  { vm, suspicion, isBelieved, isBraked, isReleased }: Verdict,
  now: number,
): NonNullable<Node['status']>['conditions'] {
  const old = readyConditions(node, isBelieved ? { is: 'fine' } : vm, now)
  if (!suspicion) {
    return old?.some(({ type }) => type === HEALTH_CHECK_FAILING)
      ? withCondition(
          old,
          {
            type: HEALTH_CHECK_FAILING,
            status: 'False',
            reason: 'HealthCheckPassing',
            message: 'its VM passes its health check',
          },
          now,
        )
      : old
  }
  const message = isBelieved
    ? 'its VM fails its health check, but its agent says that it lives'
    : 'its VM fails its health check'
  const before = conditionOf({ status: { conditions: old ?? [] } }, HEALTH_CHECK_FAILING)
  const isStill = before?.status === 'True' && before.reason === FAILS_AFTER_MANY
  const reason =
    isBraked && suspicion.is === 'silent'
      ? FAILS_WITH_MANY
      : isReleased || (isStill && !isBelieved)
        ? FAILS_AFTER_MANY
        : FAILS_ALONE
  // What has been so far does not count any more.
  const base = isReleased ? old?.filter(({ type }) => type !== HEALTH_CHECK_FAILING) : old
  return withCondition(
    base ?? [],
    { type: HEALTH_CHECK_FAILING, status: 'True', reason, message },
    now,
  )
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

function describe({ vm, suspicion, isBraked }: Verdict, removed: number): string {
  const why = 'why' in vm ? vm.why : ''
  if (isBraked) return `no eviction: ${why}, but so do most nodes or all of them`
  if (suspicion?.is === 'asked') return `not ready: ${why}; its agent is asked whether it lives`
  if (suspicion?.is === 'answered') return `no eviction: ${why}, but its agent says that it lives`
  if (suspicion) return `not ready: ${why}, and its agent does not say that it lives`
  return `not ready: ${why}; ${removed} pods removed`
}
