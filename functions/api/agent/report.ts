// A node's news as writes: one commit for all of it, none when nothing is new. Pure.

import type { NodeReport, PodReport, ReportAnswer } from '#shared/api/agent-wire.ts'
import {
  lastWordsKey,
  mergeWords,
  WORDS_PODS_MAX,
  LAST_WORDS,
  type ContainerWords,
  type LastWords,
} from '#shared/api/last-words.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod, PodStatus } from '#shared/api/pod.ts'
import { isEqual } from '#shared/equal.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import type { Reader } from '#shared/view/reader.ts'
import { unversioned } from '../storage.ts'
import { eventWrites } from './report-events.ts'
import { grownWrite } from './report-grown.ts'
import { inUseWrite, nodeWrite, type Reporter } from './report-node.ts'

export interface ReportPlan {
  writes: Write[]
  unknown: ReportAnswer['unknown']
}

/** What the report changes. `reporter` was authenticated: the report is believed about it only. */
export function planReport(
  reader: Reader,
  reporter: Reporter,
  report: NodeReport,
  now: number,
): ReportPlan {
  const writes = new Map<Key, Write>()
  const add = (write: Write | undefined): void => {
    if (write) writes.set(write.key, write)
  }
  if (report.node) add(nodeWrite(reader, reporter, withVolumes(report.node, report), now))
  else if (report.volumesInUse) add(inUseWrite(reader, reporter, report.volumesInUse))
  for (const news of report.grown ?? []) add(grownWrite(reader, reporter.name, news))
  const unknown: ReportAnswer['unknown'] = []
  for (const news of report.pods ?? []) {
    const pod = ownPod(reader, reporter.name, news)
    if (!pod) unknown.push({ namespace: news.namespace, name: news.name, uid: news.uid })
    else {
      add(podWrite(pod, news))
      for (const write of wordsWrites(reader, pod, news, now)) {
        // What another pod of this report says stays, even where it was the oldest.
        if (write.object || !writes.has(write.key)) add(write)
      }
    }
  }
  for (const write of eventWrites(reader, reporter.name, report.events ?? [], now)) add(write)
  return { writes: [...writes.values()], unknown }
}

/** A report with both tells them as one. */
function withVolumes(node: Node, { volumesInUse }: NodeReport): Node {
  if (!volumesInUse) return node
  return { ...node, status: { ...node.status, volumesInUse: volumesInUse.toSorted() } }
}

/** The pod, if it is this very one and on this node. */
function ownPod(
  reader: Reader,
  node: string,
  { namespace, name, uid }: Pick<PodReport, 'namespace' | 'name' | 'uid'>,
): Pod | undefined {
  const pod = reader.get(keyOf('pods', namespace, name)) as Pod | undefined
  return pod?.metadata.uid === uid && pod.spec.nodeName === node ? pod : undefined
}

/** Last words go into the commit that tells of the end. Room is made for them, not waited for. */
function wordsWrites(reader: Reader, pod: Pod, news: PodReport, now: number): Write[] {
  const told = wordsOf(pod, news.lastWords)
  if (Object.keys(told).length === 0) return []
  const { namespace, name } = pod.metadata
  const key = lastWordsKey(namespace, name)
  const stored = reader.get(key) as LastWords | undefined
  const object = mergeWords(stored, pod, told, now)
  const put: Write = { key, object, expect: stored?.metadata.resourceVersion ?? null }
  const all = reader.list(LAST_WORDS) as readonly LastWords[]
  const oldest = all.toSorted((a, b) => (a.toldAt < b.toldAt ? -1 : 1))[0]
  if (stored || all.length < WORDS_PODS_MAX || !oldest) return [put]
  const { metadata } = oldest
  const expect = metadata.resourceVersion ?? null
  return [{ key: lastWordsKey(metadata.namespace, metadata.name), object: null, expect }, put]
}

/** Only of containers that the pod has, and only what has the form. */
function wordsOf({ spec }: Pod, told: PodReport['lastWords']): Record<string, ContainerWords> {
  const own = new Set([...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name))
  const isWords = (words: Partial<ContainerWords> | null): boolean =>
    typeof words?.log === 'string' &&
    typeof words.containerID === 'string' &&
    typeof words.reason === 'string' &&
    typeof words.exitCode === 'number'
  return Object.fromEntries(
    Object.entries(told ?? {}).filter(([name, words]) => own.has(name) && isWords(words)),
  )
}

function podWrite(pod: Pod, news: PodReport): Write | undefined {
  const key = keyOf('pods', pod.metadata.namespace, pod.metadata.name)
  const expect = pod.metadata.resourceVersion ?? null
  const isLeaving = pod.metadata.deletionTimestamp !== undefined
  if (news.isGone && isLeaving && !pod.metadata.finalizers?.length) {
    return { key, object: null, expect }
  }
  const status = mergedStatus(pod.status, news.status)
  // Held by a finalizer only: nobody waits for its processes any more.
  const grace = news.isGone && isLeaving ? 0 : pod.metadata.deletionGracePeriodSeconds
  const metadata =
    grace === undefined ? pod.metadata : { ...pod.metadata, deletionGracePeriodSeconds: grace }
  const object: Pod = { ...pod, metadata, status }
  return isEqual(object, pod) ? undefined : { key, object: unversioned(object), expect }
}

/** The node speaks for the status, but for what others decided: where it runs, and that it ended. */
function mergedStatus(stored: PodStatus | undefined, reported: PodStatus): PodStatus {
  const kept = (stored?.conditions ?? []).filter(
    (condition) => !reported.conditions?.some((each) => each.type === condition.type),
  )
  const conditions = [...kept, ...(reported.conditions ?? [])]
  const isOver = stored?.phase === 'Succeeded' || stored?.phase === 'Failed'
  return {
    ...(stored?.qosClass ? { qosClass: stored.qosClass } : {}),
    ...reported,
    ...(conditions.length > 0 ? { conditions } : {}),
    ...(isOver && stored?.phase ? { phase: stored.phase } : {}),
  }
}
