// From a Service and its slices to its part of the table: pure. Semantics of kube-proxy
// (pkg/proxy/nftables/proxier.go and pkg/proxy/topology.go):
// - ready endpoints; when there is none, those that are terminating but still serve (KEP-1669);
// - no endpoint anywhere: reject. None on this node under policy Local: drop, for from outside somebody
//   else may answer;
// - traffic from outside is masqueraded under policy Cluster, and keeps its source under Local.

import { isIpv4 } from '#shared/api/name-rules.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'
import { backendsOf } from '../service-ports.ts'
import type { Backend } from '../service-ports.ts'
import {
  clusterChain,
  externalChain,
  externalLocalChain,
  LOCAL_OFFSET,
  pickChain,
  pickLocalChain,
} from './base-table.ts'
import { FragmentDraft } from './fragment-draft.ts'
import type { Fragment } from './ruleset.ts'
import { stickyChain } from './sticky-chains.ts'

export interface ServiceNode {
  name: string
  ip: string
  podRange: string
}

/** How long a client stays with its pod unless the Service says otherwise. */
const AFFINITY_SECONDS = 10_800

/** What one port of a Service has to do with this node. */
export interface PortRouting {
  /** `tcp`, `udp`, `sctp`. */
  protocol: string
  /** All endpoints, and those on this node. */
  all: Backend[]
  local: Backend[]
}

/** The Service's part of the table; undefined when it has none (headless, ExternalName). */
export function serviceFragment(
  service: Service,
  slices: readonly EndpointSlice[],
  node: ServiceNode,
): Fragment | undefined {
  if (!hasClusterIp(service)) return undefined
  const draft = new FragmentDraft()
  for (const port of service.spec.ports ?? []) {
    addPort(draft, service, port, routingOf(port, slices, node), node)
  }
  return draft.fragment()
}

/** True when packets to the Service's own address are forwarded. */
export function hasClusterIp({ spec }: Service): boolean {
  return spec.type !== 'ExternalName' && isIpv4(spec.clusterIP ?? '')
}

/** The endpoints of one port, seen from a node. */
export function routingOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  node: { name: string },
): PortRouting {
  const usable = slices.filter(({ addressType }) => addressType === 'IPv4')
  return {
    protocol: (port.protocol ?? 'TCP').toLowerCase(),
    all: distinct(backendsOf(usable, port, undefined)),
    local: distinct(backendsOf(usable, port, node.name)),
  }
}

/** Addresses from outside that lead to the Service: external ones, the balancer's, the node's. */
export function externalTargets(
  { spec, status }: Service,
  port: ServicePort,
  nodeIp: string,
): { ip: string; port: number; isBalancer: boolean }[] {
  const balancer = spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : []
  return [
    ...(spec.externalIPs ?? []).map((ip) => ({ ip, port: port.port, isBalancer: false })),
    ...balancer
      // A balancer that is a proxy sends to the node port, with its own address as destination to itself.
      .filter(({ ipMode }) => ipMode !== 'Proxy')
      .map(({ ip = '' }) => ({ ip, port: port.port, isBalancer: true })),
    ...(port.nodePort ? [{ ip: nodeIp, port: port.nodePort, isBalancer: false }] : []),
  ].filter(({ ip }) => isIpv4(ip))
}

function addPort(
  draft: FragmentDraft,
  service: Service,
  port: ServicePort,
  { protocol, all, local }: PortRouting,
  node: ServiceNode,
): void {
  const { spec } = service
  const id = `${service.metadata.namespace}/${service.metadata.name}/${protocol}/${port.name ?? ''}`
  const affinity =
    spec.sessionAffinity === 'ClientIP'
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS)
      : undefined
  const picking = new Picking(draft, id, affinity)
  const isInsideLocal = spec.internalTrafficPolicy === 'Local'
  const isOutsideLocal = spec.externalTrafficPolicy === 'Local'
  const inside = isInsideLocal ? local : all

  const cluster = `${spec.clusterIP} . ${protocol} . ${port.port}`
  if (inside.length === 0) {
    draft.element('no-endpoints', cluster, all.length === 0 ? 'goto refuse' : 'drop')
  } else {
    const to = picking.chain(isInsideLocal ? 'local' : 'all', inside, [cluster])
    const name = `cluster-${to}`
    if (affinity === undefined) draft.shared(name, clusterChain(to, node.podRange))
    else draft.chain(name, clusterChain(to, node.podRange))
    draft.element('service-ips', cluster, `goto ${name}`)
  }

  const targets = externalTargets(service, port, node.ip)
  const keys = targets.map((target) => `${target.ip} . ${protocol} . ${target.port}`)
  addExternal(draft, picking, keys, { id, all, local, isOutsideLocal, podRange: node.podRange })
  addSourceRanges(
    draft,
    service,
    id,
    node.ip,
    keys.filter((_, index) => targets[index]?.isBalancer),
  )
}

interface External {
  id: string
  all: Backend[]
  local: Backend[]
  isOutsideLocal: boolean
  podRange: string
}

function addExternal(
  draft: FragmentDraft,
  picking: Picking,
  keys: readonly string[],
  { id, all, local, isOutsideLocal, podRange }: External,
): void {
  if (keys.length === 0) return
  if (all.length === 0 || (isOutsideLocal && local.length === 0)) {
    for (const key of keys) {
      draft.element('no-endpoints', key, all.length === 0 ? 'goto refuse' : 'drop')
    }
  }
  if (all.length === 0) return
  const toAll = picking.chain('all', all, keys)
  let name: string
  let rules: string[]
  if (isOutsideLocal) {
    const toLocal = local.length > 0 ? picking.chain('local', local, keys) : undefined
    name = picking.isShared
      ? `external-local-${all.length}-${local.length}`
      : `external-local-${id}`
    rules = externalLocalChain(podRange, { all: toAll, local: toLocal })
  } else {
    name = `external-${toAll}`
    rules = externalChain(toAll)
  }
  if (picking.isShared) draft.shared(name, rules)
  else draft.chain(name, rules)
  for (const key of keys) draft.element('service-ips', key, `goto ${name}`)
}

/** loadBalancerSourceRanges: others' packets to the balancer's address are dropped. */
function addSourceRanges(
  draft: FragmentDraft,
  { spec }: Service,
  id: string,
  nodeIp: string,
  keys: readonly string[],
): void {
  const ranges = (spec.loadBalancerSourceRanges ?? []).map((each) => each.trim()).filter(isRange)
  if (ranges.length === 0 || keys.length === 0) return
  const name = `firewall-${id}`
  // One rule a range: ranges may overlap, which a set would not take.
  draft.chain(name, [
    ...ranges.map((range) => `ip saddr ${range} return`),
    `ip saddr ${nodeIp} return`,
    'drop',
  ])
  for (const key of keys) draft.element('firewall-ips', key, `goto ${name}`)
}

function isRange(text: string): boolean {
  const [address = '', bits = '', ...rest] = text.split('/')
  return rest.length === 0 && isIpv4(address) && /^\d+$/.test(bits) && Number(bits) <= 32
}

/** Where a port's chains lead: shared by all Services, or its own when clients stick to pods. */
class Picking {
  readonly #draft: FragmentDraft
  readonly #id: string
  readonly #affinity: number | undefined

  constructor(draft: FragmentDraft, id: string, affinity: number | undefined) {
    this.#draft = draft
    this.#id = id
    this.#affinity = affinity
  }

  get isShared(): boolean {
    return this.#affinity === undefined
  }

  /** The chain that sends what came to `keys` to one of these endpoints. */
  chain(which: 'all' | 'local', backends: readonly Backend[], keys: readonly string[]): string {
    if (this.#affinity !== undefined) {
      return stickyChain(this.#draft, `${which}-${this.#id}`, this.#id, backends, this.#affinity)
    }
    const offset = which === 'local' ? LOCAL_OFFSET : 0
    for (const key of keys) {
      for (const [index, { ip, port }] of backends.entries()) {
        this.#draft.element('endpoints', `${key} . ${offset + index}`, `${ip} . ${port}`)
      }
    }
    const make = which === 'local' ? pickLocalChain : pickChain
    const [name, rules] = make(backends.length)
    this.#draft.shared(name, rules)
    return name
  }
}

/** Each address and port once, in an order that does not depend on the slices'. */
function distinct(backends: readonly Backend[]): Backend[] {
  const byText = new Map(
    backends.filter(({ ip }) => isIpv4(ip)).map((each) => [`${each.ip}:${each.port}`, each]),
  )
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, backend]) => backend)
}
