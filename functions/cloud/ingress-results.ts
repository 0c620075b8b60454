// What came of the HTTP balancer, written on the Ingresses and on the pods that leave. Pure.

import type { Ingress } from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import { isEqual } from '#shared/equal.ts'
import {
  holdsEntry,
  INGRESS_FINALIZER,
  isServed,
  servedIngresses,
} from '#shared/ingress/classes.ts'
import { DRAINED_ANNOTATION } from '#shared/ingress/draining.ts'
import { unmark } from '#shared/ingress/mark.ts'
import { keyOf, type Key } from '#shared/key.ts'
import { withMeta } from '#shared/reconcile/draft.ts'
import { IN_SYNC, type EventDraft, type Outcome } from '#shared/reconcile/outcome.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { finalized } from './finalized.ts'
import type { EntryResult } from './ingresses.ts'

/** What of an Ingress cannot be served, and why: one reason a line. Absent: all is well. */
export const PROBLEMS_ANNOTATION = 'ingress.wherry.dev/problems'

/** GKE's annotations, by what the names of the parts end with. */
const PARTS: readonly (readonly [annotation: string, end: string, isHttps: boolean])[] = [
  ['ingress.kubernetes.io/forwarding-rule', 'fr', false],
  ['ingress.kubernetes.io/https-forwarding-rule', 'fs', true],
  ['ingress.kubernetes.io/https-target-proxy', 'ts', true],
  ['ingress.kubernetes.io/target-proxy', 'tp', false],
  ['ingress.kubernetes.io/url-map', 'um', false],
]

export function ingressOutcome(
  reader: Reader,
  key: Key,
  ingress: Ingress,
  result: EntryResult | undefined,
): Outcome {
  if (!result) return IN_SYNC
  if (!isServed(reader, ingress)) {
    // The balancer no longer knows it when a pass without it has succeeded.
    if (!holdsEntry(ingress) || 'error' in result) return letGoFailed(ingress, result)
    const without: Ingress = { ...ingress, status: { loadBalancer: {} } }
    const bare = withoutAnnotations(without)
    return { writes: [finalized(key, bare, INGRESS_FINALIZER)] }
  }
  if ('isGone' in result) return IN_SYNC
  if ('error' in result) return { writes: [], events: [syncFailed(ingress, result.error)] }
  return serveOutcome(ingress, result)
}

function letGoFailed(ingress: Ingress, result: EntryResult): Outcome {
  if (!('error' in result) || !holdsEntry(ingress)) return IN_SYNC
  return { writes: [], events: [syncFailed(ingress, result.error)] }
}

function serveOutcome(
  ingress: Ingress,
  result: Extract<EntryResult, { address: string }>,
): Outcome {
  const problems = problemsOf(ingress, result)
  const loadBalancer = { ingress: [{ ip: result.address }] }
  const annotations = annotationsFor(ingress, result, problems)
  const isAddressNew = !isEqual(ingress.status?.loadBalancer, loadBalancer)
  const events: EventDraft[] = []
  if (isAddressNew) events.push(say(ingress, 'Normal', 'IPChanged', `IP is now ${result.address}`))
  const known = (ingress.metadata.annotations?.[PROBLEMS_ANNOTATION] ?? '').split('\n')
  for (const problem of problems.filter((each) => !known.includes(each))) {
    const message = `Translation failed: invalid ingress spec: ${problem}`
    events.push(say(ingress, 'Warning', 'Translate', message))
  }
  if (result.endpointError) events.push(syncFailed(ingress, result.endpointError))
  const isSame = isEqual(annotations, ingress.metadata.annotations ?? {}) && !isAddressNew
  if (isSame) return { writes: [], events }
  const object: Ingress = { ...withMeta(ingress, { annotations }), status: { loadBalancer } }
  return { writes: [{ do: 'put', object }], events }
}

function problemsOf(
  { metadata }: Ingress,
  { plan, refused }: Extract<EntryResult, { address: string }>,
): string[] {
  const certificates = Object.entries(refused)
    .filter(([name]) => plan.certificateUsers.get(name)?.includes(metadata.uid))
    .map(([, why]) => `the certificate cannot be used: ${why}`)
  return [...(plan.problems.get(metadata.uid) ?? []), ...certificates]
}

function annotationsFor(
  ingress: Ingress,
  { plan }: Extract<EntryResult, { address: string }>,
  problems: readonly string[],
): Record<string, string> {
  const kept = withoutAnnotations(ingress).metadata.annotations ?? {}
  const { name = '', http, https } = plan.spec ?? {}
  const parts = PARTS.filter(([, , isHttps]) => (isHttps ? https : http)).map(
    ([annotation, end]): [string, string] => [annotation, `${name}-${end}`],
  )
  return {
    ...kept,
    ...Object.fromEntries(parts),
    ...(problems.length > 0 ? { [PROBLEMS_ANNOTATION]: problems.join('\n') } : {}),
  }
}

/** Without those that are written here. */
function withoutAnnotations<T extends KubeObject>(object: T): T {
  const own = new Set([PROBLEMS_ANNOTATION, ...PARTS.map(([annotation]) => annotation)])
  const { annotations, ...metadata } = object.metadata
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !own.has(key))
  if (kept.length === 0) return { ...object, metadata }
  return { ...object, metadata: { ...metadata, annotations: Object.fromEntries(kept) } }
}

/** The balancer is gone, and nobody has asked for another one meanwhile. */
export function markOutcome(reader: Reader, result: EntryResult | undefined): Outcome {
  const isGone = result !== undefined && 'isGone' in result
  return isGone && servedIngresses(reader).length === 0 ? { writes: unmark(reader) } : IN_SYNC
}

/** A leaving pod that was detached: its agent may stop it when what is on its way has arrived. */
export function podOutcome(
  pod: Pod,
  result: EntryResult | undefined,
  now: number,
  propagationSeconds: number,
): Outcome {
  const { namespace, name, deletionTimestamp, annotations } = pod.metadata
  if (!result || !('drained' in result) || !deletionTimestamp) return IN_SYNC
  if (!result.drained.has(keyOf('pods', namespace, name))) return IN_SYNC
  if (annotations?.[DRAINED_ANNOTATION] !== undefined) return IN_SYNC
  const until = formatTime(Math.ceil((now + propagationSeconds * 1000) / 1000) * 1000)
  const object = withMeta(pod, { annotations: { ...annotations, [DRAINED_ANNOTATION]: until } })
  return { writes: [{ do: 'put', object }] }
}

function syncFailed(ingress: Ingress, error: string): EventDraft {
  const message = `Error syncing to GCP: error running load balancer syncing routine: ${error}`
  return say(ingress, 'Warning', 'Sync', message)
}

function say(
  about: Ingress,
  type: EventDraft['type'],
  reason: string,
  message: string,
): EventDraft {
  return { about, type, reason, message, source: 'loadbalancer-controller' }
}
