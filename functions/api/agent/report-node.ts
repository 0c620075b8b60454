// A node's report about itself: it registers, and later tells what is new. What people and
// controllers decided about it (labels of theirs, taints, cordon) stays.

import { INSTANCE_ID_ANNOTATION, type Node, type NodeStatus } from '#shared/api/node.ts'
import type { Condition } from '#shared/api/meta.ts'
import { isEqual } from '#shared/equal.ts'
import { derivedUid } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { unversioned } from '../storage.ts'

/** Who reports: proved by the VM's identity token. */
export interface Reporter {
  name: string
  instanceId: string
}

/** The write, or undefined when nothing is new. */
export function nodeWrite(
  reader: Reader,
  reporter: Reporter,
  reported: Node,
  now: number,
): Write | undefined {
  const key = keyOf('nodes', '', reporter.name)
  const stored = reader.get(key) as Node | undefined
  const isSameVm = stored?.metadata.annotations?.[INSTANCE_ID_ANNOTATION] === reporter.instanceId
  if (!stored || !isSameVm) {
    // Another VM under the same name is another Node: nothing of the old one holds for it.
    const object = newNode(reporter, reported, key, now)
    return { key, object, expect: stored?.metadata.resourceVersion ?? null }
  }
  const object = updatedNode(stored, reported, reporter, now)
  if (isEqual(withoutHeartbeats(object), withoutHeartbeats(stored))) return undefined
  return { key, object: unversioned(object), expect: stored.metadata.resourceVersion ?? null }
}

/** The Node with what its agent has mounted; undefined when that is no news. */
export function inUseWrite(
  reader: Reader,
  reporter: Reporter,
  volumesInUse: readonly string[],
): Write | undefined {
  const key = keyOf('nodes', '', reporter.name)
  const stored = reader.get(key) as Node | undefined
  const isSameVm = stored?.metadata.annotations?.[INSTANCE_ID_ANNOTATION] === reporter.instanceId
  if (!stored || !isSameVm) return undefined
  const inUse = volumesInUse.toSorted()
  if (isEqual(stored.status?.volumesInUse ?? [], inUse)) return undefined
  const { volumesInUse: _, ...status } = stored.status ?? {}
  const object: Node = {
    ...stored,
    status: inUse.length > 0 ? { ...status, volumesInUse: inUse } : status,
  }
  return { key, object: unversioned(object), expect: stored.metadata.resourceVersion ?? null }
}

function newNode(reporter: Reporter, reported: Node, key: string, now: number): Node {
  const { labels, annotations } = reported.metadata
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: reporter.name,
      uid: derivedUid(key, reporter.instanceId, now),
      creationTimestamp: formatTime(now),
      labels: { ...labels, 'kubernetes.io/hostname': reporter.name },
      annotations: { ...annotations, [INSTANCE_ID_ANNOTATION]: reporter.instanceId },
    },
    spec: reported.spec ?? {},
    status: mergedStatus(undefined, reported.status, now),
  }
}

function updatedNode(stored: Node, reported: Node, reporter: Reporter, now: number): Node {
  const { providerID, podCIDR, podCIDRs } = reported.spec ?? {}
  return {
    ...stored,
    metadata: {
      ...stored.metadata,
      labels: { ...stored.metadata.labels, ...reported.metadata.labels },
      annotations: {
        ...stored.metadata.annotations,
        ...reported.metadata.annotations,
        [INSTANCE_ID_ANNOTATION]: reporter.instanceId,
      },
    },
    spec: {
      ...stored.spec,
      ...(providerID ? { providerID } : {}),
      ...(podCIDR ? { podCIDR } : {}),
      ...(podCIDRs ? { podCIDRs } : {}),
    },
    status: mergedStatus(stored.status, reported.status, now),
  }
}

function mergedStatus(
  stored: NodeStatus | undefined,
  reported: NodeStatus | undefined,
  now: number,
): NodeStatus {
  const conditions = [...(stored?.conditions ?? [])]
  for (const condition of reported?.conditions ?? []) {
    const place = conditions.findIndex((each) => each.type === condition.type)
    const merged = withTransition(conditions[place], condition, now)
    if (place < 0) conditions.push(merged)
    else conditions[place] = merged
  }
  return { ...stored, ...reported, ...(conditions.length > 0 ? { conditions } : {}) }
}

function withTransition(
  before: Condition | undefined,
  reported: Condition,
  now: number,
): Condition {
  const isSame = before?.status === reported.status
  const lastTransitionTime = isSame ? before.lastTransitionTime : reported.lastTransitionTime
  return { ...reported, lastTransitionTime: lastTransitionTime ?? formatTime(now) }
}

/** There is no heartbeat write: the time of one alone is no news. */
function withoutHeartbeats(node: Node): Node {
  const conditions = node.status?.conditions?.map((condition) => {
    const { lastHeartbeatTime: _, ...rest } = condition
    return rest
  })
  return { ...node, status: { ...node.status, ...(conditions ? { conditions } : {}) } }
}
