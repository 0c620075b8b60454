// From NetworkPolicies to what one node must know of them: which of its pods each isolates, and the
// addresses (not the pods, not their labels) that may speak with them. Pure.
//
// As in Kubernetes: pods in the node's own network are nobody's peers and are not isolated; a pod that
// has ended has no traffic; a named port is looked up in the pod that would be connected to.

import type { PodPolicy, PolicyRule } from '../api/agent-wire.ts'
import type { KubeObject } from '../api/meta.ts'
import { NETWORK_POLICIES } from '../api/network-policy.ts'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../api/network-policy.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import type { Pod } from '../api/pod.ts'
import { DNS_SERVICE_IP } from '../api/service-addresses.ts'
import { keyOf } from '../key.ts'
import { matches, matchesLabelSelector, selectorOf } from '../selector.ts'
import type { Reader } from '../view/reader.ts'

/** A pod as policies see it. */
interface Party {
  ip: string
  uid: string
  ports: { name: string; protocol: string; port: number }[]
}

/**
 * The cluster's DNS runs in the agent of each node. Rules that admit the pods of kube-dns, as they are
 * written for other clusters, mean it.
 */
const DNS_NAMESPACE = 'kube-system'
const DNS_LABELS = { 'k8s-app': 'kube-dns' }
const DNS: Party = {
  ip: DNS_SERVICE_IP,
  uid: '',
  ports: [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 53 },
  ],
}

/** The policies that select pods of this node, with their peers' addresses. */
export function policiesFor(reader: Reader, node: string): PodPolicy[] {
  const all = reader.list(NETWORK_POLICIES) as readonly NetworkPolicy[]
  if (all.length === 0) return []
  const own = (reader.podsOnNode(node) as readonly Pod[]).filter(isIsolatable)
  return all.flatMap((policy): PodPolicy[] => {
    const pods = own.filter((pod) => isSelectedBy(policy, pod)).map(partyOf)
    return pods.length > 0 ? [resolve(reader, policy, pods)] : []
  })
}

/** True when the policy isolates the pod. */
export function isSelectedBy({ metadata, spec }: NetworkPolicy, pod: Pod): boolean {
  return (
    pod.metadata.namespace === metadata.namespace &&
    matches(selectorOf(spec.podSelector ?? {}), pod.metadata.labels)
  )
}

/** True when a policy can be about the pod at all. */
export function isIsolatable(pod: Pod): boolean {
  return !pod.spec.hostNetwork && !isPodTerminal(pod)
}

/** All peers that the policy names, of both directions. */
export function peersOf({ spec }: NetworkPolicy): NetworkPolicyPeer[] {
  return [
    ...(spec.ingress ?? []).flatMap(({ from }) => from ?? []),
    ...(spec.egress ?? []).flatMap(({ to }) => to ?? []),
  ]
}

/** True when the peer means pods of this namespace with these labels. */
export function isPeer(
  peer: NetworkPolicyPeer,
  policyNamespace: string,
  namespace: string,
  namespaceLabels: KubeObject['metadata']['labels'],
  labels: KubeObject['metadata']['labels'],
): boolean {
  if (peer.ipBlock) return false
  const isThere = peer.namespaceSelector
    ? matchesLabelSelector(peer.namespaceSelector, namespaceLabels)
    : namespace === policyNamespace
  return isThere && matches(selectorOf(peer.podSelector ?? {}), labels)
}

function resolve(reader: Reader, policy: NetworkPolicy, pods: readonly Party[]): PodPolicy {
  const { metadata, spec } = policy
  const namespace = metadata.namespace ?? ''
  const types = spec.policyTypes ?? ['Ingress']
  const ingress = (spec.ingress ?? []).flatMap(({ from, ports }) =>
    splitIngress(ports, pods, sidesOf(reader, namespace, from, false)),
  )
  const egress = (spec.egress ?? []).flatMap(({ to, ports }) =>
    splitEgress(ports, sidesOf(reader, namespace, to, true)),
  )
  return {
    namespace,
    name: metadata.name,
    pods: pods.map(({ uid }) => uid).sort(),
    ...(types.includes('Ingress') ? { ingress } : {}),
    ...(types.includes('Egress') ? { egress } : {}),
  }
}

/** Who is meant; undefined: everybody. */
interface Side {
  parties: Party[]
  blocks: { cidr: string; except: string[] }[]
}

function sidesOf(
  reader: Reader,
  namespace: string,
  peers: readonly NetworkPolicyPeer[] | undefined,
  isEgress: boolean,
): Side | undefined {
  if (!peers?.length) return undefined
  const parties = new Map<string, Party>()
  for (const peer of peers) {
    for (const party of partiesOf(reader, namespace, peer)) parties.set(party.ip, party)
    if (isEgress && isDns(reader, namespace, peer)) parties.set(DNS.ip, DNS)
  }
  const blocks = peers.flatMap(({ ipBlock }) =>
    ipBlock ? [{ cidr: ipBlock.cidr, except: ipBlock.except ?? [] }] : [],
  )
  return { parties: [...parties.values()], blocks }
}

function isDns(reader: Reader, policyNamespace: string, peer: NetworkPolicyPeer): boolean {
  const labels = labelsOf(reader, DNS_NAMESPACE)
  return isPeer(peer, policyNamespace, DNS_NAMESPACE, labels, DNS_LABELS)
}

function partiesOf(reader: Reader, policyNamespace: string, peer: NetworkPolicyPeer): Party[] {
  if (peer.ipBlock) return []
  const namespaces = peer.namespaceSelector
    ? reader
        .list('namespaces')
        .filter(({ metadata }) => matchesLabelSelector(peer.namespaceSelector, metadata.labels))
        .map(({ metadata }) => metadata.name)
    : [policyNamespace]
  const selector = selectorOf(peer.podSelector ?? {})
  return namespaces.flatMap((namespace) =>
    candidates(reader, namespace, peer)
      .filter((pod) => isIsolatable(pod) && pod.status?.podIP)
      .filter(({ metadata }) => matches(selector, metadata.labels))
      .map(partyOf),
  )
}

/** By an index where the selector names a label's value. */
function candidates(reader: Reader, namespace: string, peer: NetworkPolicyPeer): readonly Pod[] {
  const [label] = Object.entries(peer.podSelector?.matchLabels ?? {})
  const found = label
    ? reader.labelled('pods', namespace, label[0], label[1])
    : reader.list('pods', namespace)
  return found as readonly Pod[]
}

function labelsOf(reader: Reader, namespace: string): KubeObject['metadata']['labels'] {
  return reader.get(keyOf('namespaces', '', namespace))?.metadata.labels
}

/** The selected pods are connected to: a named port may be another number in each. */
function splitIngress(
  ports: readonly NetworkPolicyPort[] | undefined,
  pods: readonly Party[],
  side: Side | undefined,
): PolicyRule[] {
  const peers = peersIn(side)
  const plain = (ports ?? []).filter((port) => typeof port.port !== 'string')
  const rules: PolicyRule[] = []
  if (!ports?.length) rules.push(peers)
  else if (plain.length > 0) rules.push({ ...peers, ports: plain.map(numbered) })
  for (const named of (ports ?? []).filter((port) => typeof port.port === 'string')) {
    for (const [port, having] of byNumber(named, pods)) {
      const uids = having.map(({ uid }) => uid).sort()
      rules.push({ ...peers, pods: uids, ports: [{ protocol: named.protocol ?? 'TCP', port }] })
    }
  }
  return rules
}

/** The peers are connected to: addresses without a pod have no named ports. */
function splitEgress(
  ports: readonly NetworkPolicyPort[] | undefined,
  side: Side | undefined,
): PolicyRule[] {
  const plain = (ports ?? []).filter((port) => typeof port.port !== 'string')
  const rules: PolicyRule[] = []
  if (!ports?.length) rules.push(peersIn(side))
  else if (plain.length > 0) rules.push({ ...peersIn(side), ports: plain.map(numbered) })
  for (const named of (ports ?? []).filter((port) => typeof port.port === 'string')) {
    for (const [port, having] of byNumber(named, side?.parties ?? [])) {
      const peers = peersIn({ parties: having, blocks: [] })
      rules.push({ ...peers, ports: [{ protocol: named.protocol ?? 'TCP', port }] })
    }
  }
  return rules
}

function byNumber(
  { port: name, protocol = 'TCP' }: NetworkPolicyPort,
  parties: readonly Party[],
): Map<number, Party[]> {
  const found = new Map<number, Party[]>()
  for (const party of parties) {
    const match = party.ports.find((port) => port.name === name && port.protocol === protocol)
    if (match) found.set(match.port, [...(found.get(match.port) ?? []), party])
  }
  return found
}

function numbered({ protocol = 'TCP', port, endPort }: NetworkPolicyPort): {
  protocol: string
  port?: number
  endPort?: number
} {
  return {
    protocol,
    ...(typeof port === 'number' ? { port } : {}),
    ...(endPort === undefined ? {} : { endPort }),
  }
}

function peersIn(side: Side | undefined): Pick<PolicyRule, 'addresses' | 'blocks'> {
  if (!side) return {}
  return { addresses: side.parties.map(({ ip }) => ip).sort(), blocks: side.blocks }
}

function partyOf(pod: Pod): Party {
  return {
    ip: pod.status?.podIP ?? '',
    uid: pod.metadata.uid,
    ports: [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
      .flatMap(({ ports }) => ports ?? [])
      .map(({ name = '', protocol = 'TCP', containerPort }) => ({
        name,
        protocol,
        port: containerPort,
      })),
  }
}
