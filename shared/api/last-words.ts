// What a container said before it ended badly, kept in the control plane so that `kubectl logs` can show
// it when the container, its pod or its VM cannot be asked any more. It rides on the report that tells
// of the end. Not a kind of the API: nobody reads it but through pods/log, with that permission.

import { formatTime } from '../time.ts'
import { keyOf, type Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import type { ContainerStatus, Pod } from './pod.ts'
import type { KubeObject } from './meta.ts'

/** One end of one container, as its node tells it. */
export interface ContainerWords {
  /** Which run it was: `docker://…`, as in the pod's status. */
  containerID: string
  exitCode: number
  /** Error, OOMKilled … */
  reason: string
  /** The end of its log in the lines that the node keeps: `TIME STREAM TAG TEXT`. */
  log: string
}

/** The last words of one pod's containers; its name and namespace are the pod's. */
export interface LastWords extends KubeObject {
  podUid: string
  containers: Record<string, ContainerWords>
  /** When the last of them was told, by the control plane's clock. */
  toldAt: string
}

/** The first part of their keys. */
export const LAST_WORDS = 'lastwords.container.wherry.dev'

/** How much of a container's output is kept, time stamps not counted. */
export const WORDS_BYTES = 16 * 1024
/** The same with its time stamps: short lines are fewer. */
export const WORDS_STORED_BYTES = 32 * 1024
/** All containers of one pod together; the newest are kept. */
const POD_BYTES = 256 * 1024
/** Pods of one cluster; the oldest go first. */
export const WORDS_PODS_MAX = 200
/** After this they go, whether the pod is still there or not. */
export const WORDS_TTL_MS = 24 * 3_600_000

export function lastWordsKey(namespace: string | undefined, pod: string): Key {
  return keyOf(LAST_WORDS, namespace, pod)
}

/** What is kept of a pod when its node tells of these ends; what an earlier pod of its name said goes. */
export function mergeWords(
  stored: LastWords | undefined,
  { metadata: { namespace = '', name, uid } }: Pick<Pod, 'metadata'>,
  told: Readonly<Record<string, ContainerWords>>,
  now: number,
): LastWords {
  const before = stored?.podUid === uid ? stored.containers : {}
  const all = new Map(Object.entries(before))
  for (const [container, { containerID, exitCode, reason, log }] of Object.entries(told)) {
    // To the end of the list: the newest stay.
    all.delete(container)
    all.set(container, { containerID, exitCode, reason, log: lastLinesWithin(log) })
  }
  let bytes = 0
  const kept = [...all]
    .reverse()
    .filter(([, words]) => (bytes += words.log.length) <= POD_BYTES)
    .reverse()
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'LastWords',
    metadata: { name, namespace, uid: `${uid}-last-words`, creationTimestamp: formatTime(now) },
    podUid: uid,
    containers: Object.fromEntries(kept),
    toldAt: formatTime(now),
  }
}

/** The end of a text of whole lines that fits. */
function lastLinesWithin(log: string): string {
  if (log.length <= WORDS_STORED_BYTES) return log
  const from = log.indexOf('\n', log.length - WORDS_STORED_BYTES)
  return from < 0 ? '' : log.slice(from + 1)
}

/** Keys of what is kept no longer: too old, of a namespace that is gone, or the oldest of too many. */
export function outlivedWords(reader: Reader, now: number): Key[] {
  const oldest = formatTime(now - WORDS_TTL_MS)
  const all = reader.list(LAST_WORDS) as readonly LastWords[]
  const isOver = ({ toldAt, metadata }: LastWords): boolean =>
    toldAt < oldest || !reader.get(keyOf('namespaces', '', metadata.namespace ?? ''))
  const over = all.filter(isOver)
  const rest = all.filter((words) => !isOver(words))
  const surplus = rest
    .toSorted((a, b) => (a.toldAt < b.toldAt ? -1 : 1))
    .slice(0, Math.max(0, rest.length - WORDS_PODS_MAX))
  return [...over, ...surplus].map(({ metadata }) =>
    lastWordsKey(metadata.namespace, metadata.name),
  )
}

/**
 * The words that `kubectl logs` would show of this container if its node could be asked: of the run that
 * kubelet would choose, and of no other. With `previous` also those of an earlier pod of the same name
 * (a StatefulSet's that moved), when this one has no end behind it yet.
 */
export function lastWordsOf(
  reader: Reader,
  pod: Pod,
  container: string,
  isPrevious: boolean,
): ContainerWords | undefined {
  const { namespace, name, uid } = pod.metadata
  const stored = reader.get(lastWordsKey(namespace, name)) as LastWords | undefined
  const words = stored?.containers[container]
  if (!words) return undefined
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {}
  const status = [...initContainerStatuses, ...containerStatuses].find(
    (each) => each.name === container,
  )
  if (stored.podUid !== uid) return isPrevious && !status?.lastState?.terminated ? words : undefined
  return words.containerID === chosenRun(status, isPrevious) ? words : undefined
}

/**
 * The run whose log is shown: kubelet's validateContainerLogStatus,
 * https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/kubelet/kubelet_pods.go.
 */
function chosenRun(status: ContainerStatus | undefined, isPrevious: boolean): string | undefined {
  const before = status?.lastState?.terminated?.containerID
  if (isPrevious) return before
  const { running, terminated } = status?.state ?? {}
  if (running) return status?.containerID
  // Waiting to be started again: the log is that of the run before.
  return terminated ? (terminated.containerID ?? before) : before
}

/** The words of a pod that is not there any more; of its only container when none is named. */
export function lastWordsOfGone(
  reader: Reader,
  namespace: string,
  pod: string,
  container: string,
): ContainerWords | undefined {
  const stored = reader.get(lastWordsKey(namespace, pod)) as LastWords | undefined
  if (container || !stored) return stored?.containers[container]
  const all = Object.values(stored.containers)
  return all.length === 1 ? all[0] : undefined
}
