// Which nodes' policies change when a pod, a namespace or a policy does. Pure.

import { isPodTerminal } from '../api/pod-conditions.ts'
import type { KubeObject } from '../api/meta.ts'
import { NETWORK_POLICIES } from '../api/network-policy.ts'
import type { NetworkPolicy } from '../api/network-policy.ts'
import type { Pod } from '../api/pod.ts'
import { isEqual } from '../equal.ts'
import { keyOf } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { isIsolatable, isPeer, isSelectedBy, peersOf } from './resolve-policies.ts'

/** The nodes with pods whose policies name this pod as a peer, before or after. */
export function nodesOfPeer(
  reader: Reader,
  before: Pod | undefined,
  after: Pod | undefined,
): string[] {
  const policies = reader.list(NETWORK_POLICIES) as readonly NetworkPolicy[]
  if (policies.length === 0 || !hasNews(before, after)) return []
  const states = [before, after].filter((pod) => pod !== undefined && !pod.spec.hostNetwork)
  return policies
    .filter((policy) => states.some((pod) => pod && isPeerOf(reader, policy, pod)))
    .flatMap((policy) => nodesOf(reader, policy))
}

/** The nodes with pods that the policy isolated or isolates. */
export function nodesOfPolicy(
  reader: Reader,
  before: NetworkPolicy | undefined,
  after: NetworkPolicy | undefined,
): string[] {
  if (before && after && isEqual(before.spec, after.spec)) return []
  return [before, after].flatMap((policy) => (policy ? nodesOf(reader, policy) : []))
}

/** The nodes whose policies select their peers by namespaces, when one's labels have changed. */
export function nodesOfNamespace(
  reader: Reader,
  before: KubeObject | undefined,
  after: KubeObject | undefined,
): string[] {
  if (isEqual(before?.metadata.labels, after?.metadata.labels)) return []
  return (reader.list(NETWORK_POLICIES) as readonly NetworkPolicy[])
    .filter((policy) => peersOf(policy).some((peer) => peer.namespaceSelector !== undefined))
    .flatMap((policy) => nodesOf(reader, policy))
}

function nodesOf(reader: Reader, policy: NetworkPolicy): string[] {
  return (reader.list('pods', policy.metadata.namespace) as readonly Pod[])
    .filter((pod) => isIsolatable(pod) && isSelectedBy(policy, pod))
    .flatMap(({ spec }) => (spec.nodeName ? [spec.nodeName] : []))
}

function isPeerOf(reader: Reader, policy: NetworkPolicy, pod: Pod): boolean {
  const namespace = pod.metadata.namespace ?? ''
  const labels = reader.get(keyOf('namespaces', '', namespace))?.metadata.labels
  return peersOf(policy).some((peer) =>
    isPeer(peer, policy.metadata.namespace ?? '', namespace, labels, pod.metadata.labels),
  )
}

/** True when what a rule makes of the pod has changed: its address, labels, end, or ports. */
function hasNews(before: Pod | undefined, after: Pod | undefined): boolean {
  if (!before || !after) return Boolean((before ?? after)?.status?.podIP)
  return (
    before.status?.podIP !== after.status?.podIP ||
    isPodTerminal(before) !== isPodTerminal(after) ||
    !isEqual(before.metadata.labels, after.metadata.labels)
  )
}
