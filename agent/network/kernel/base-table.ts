// The part of the table that is always there: hooks, and the maps that decide in one look-up what
// happens to a packet. After kube-proxy's nftables mode (KEP-3866), with one difference: an endpoint is
// found in a map by (address, protocol, port, number), not in a chain of its own. So there are as many
// chains as there are different numbers of endpoints, and a change costs the same with 10 Services and
// with 10,000: `nft` reads all chains, but not all elements, before each transaction.

export interface TableSettings {
  nodeIp: string
  /** The addresses of this node's pods. */
  podRange: string
  /** The addresses of the cluster's Services. */
  serviceRange: string
  /** Where the cluster's DNS answers, on this node. */
  dnsIp: string
  /** The agent's own port: not for pods. */
  agentPort: number
}

/** Family and name of the table. */
export const TABLE = 'ip wherry'

/** Pods' interfaces begin with this. */
export const POD_LINK_PREFIX = 'wp'

/** The metadata server of a Compute Engine VM. Its port 53 is the VPC's DNS. */
const METADATA_IP = '169.254.169.254'

/** On a connection: its source becomes the node's address on the way out. */
const MASQUERADE = '0x4000'

/** An entry point of a Service: address, protocol, port. */
const TARGET = 'ip daddr . meta l4proto . th dport'
const TARGET_TYPE = 'ipv4_addr . inet_proto . inet_service'
const PODS = `iifname "${POD_LINK_PREFIX}*"`

/** Local endpoints are numbered from here, all endpoints from 0. */
export const LOCAL_OFFSET = 65_536

/** Sends to one of `count` endpoints, evenly. */
export function pickChain(count: number): [string, string[]] {
  return [`pick-${count}`, picking(count, 0)]
}

/** The same among the endpoints on this node. */
export function pickLocalChain(count: number): [string, string[]] {
  return [`pick-local-${count}`, picking(count, LOCAL_OFFSET)]
}

function picking(count: number, offset: number): string[] {
  return [
    `meta mark set numgen random mod ${count}${offset > 0 ? ` offset ${offset}` : ''}`,
    `meta l4proto { tcp, udp, sctp } dnat ip to ${TARGET} . meta mark map @endpoints`,
  ]
}

/** Of a cluster address: who is no pod (the node, somebody who routes here) is masqueraded. */
export function clusterChain(to: string, podRange: string): string[] {
  return [`ip saddr != ${podRange} ct mark set ${MASQUERADE}`, `goto ${to}`]
}

/** externalTrafficPolicy Cluster: the endpoint may be on another node, so answers must come back here. */
export function externalChain(to: string): string[] {
  return [`ct mark set ${MASQUERADE}`, `goto ${to}`]
}

/**
 * externalTrafficPolicy Local: the client's address is kept. What comes from the cluster itself goes to
 * any endpoint, as if it had gone out to the load balancer and come back.
 */
export function externalLocalChain(
  podRange: string,
  to: { all: string | undefined; local: string | undefined },
): string[] {
  return [
    ...(to.all
      ? [
          `ip saddr ${podRange} goto ${to.all}`,
          `fib saddr type local ct mark set ${MASQUERADE}`,
          `fib saddr type local goto ${to.all}`,
        ]
      : []),
    ...(to.local ? [`goto ${to.local}`] : []),
  ]
}

/** The table without Services and pods, as a script for `nft -f`. Replaces what was there. */
export function baseTable(settings: TableSettings): string {
  return [
    `table ${TABLE} {`,
    ...setsAndMaps(),
    ...natChains(settings),
    ...filterChains(settings),
    ...helperChains(settings),
    '}',
  ].join('\n')
}

function setsAndMaps(): string[] {
  return [
    `map service-ips { type ${TARGET_TYPE} : verdict; }`,
    `map endpoints { type ${TARGET_TYPE} . mark : ipv4_addr . inet_service; }`,
    `map no-endpoints { type ${TARGET_TYPE} : verdict; }`,
    `map firewall-ips { type ${TARGET_TYPE} : verdict; }`,
    'set hairpin { type ipv4_addr . ipv4_addr; }',
    'set pod-links { type ifname . ipv4_addr; }',
    `map egress-pods { type ipv4_addr : verdict; }`,
    `map ingress-pods { type ipv4_addr : verdict; }`,
  ]
}

function natChains({ nodeIp, podRange }: TableSettings): string[] {
  const snat = `snat to ${nodeIp} fully-random`
  return [
    chain('nat-prerouting', 'type nat hook prerouting priority dstnat', ['jump services']),
    chain('nat-output', 'type nat hook output priority -100', ['jump services']),
    chain('nat-postrouting', 'type nat hook postrouting priority srcnat', [
      `ct mark ${MASQUERADE} ${snat}`,
      // A pod that reaches itself through a Service must see an answer from outside.
      `ip saddr . ip daddr @hairpin ${snat}`,
      `ip saddr ${podRange} ip daddr != 10.0.0.0/8 ip daddr != ${podRange} ${snat}`,
    ]),
    chain('services', '', [`${TARGET} vmap @service-ips`]),
  ]
}

function filterChains({ dnsIp, agentPort }: TableSettings): string[] {
  return [
    // Questions of DNS need no connection tracking; each would leave an entry for half a minute.
    ...['prerouting', 'output'].map((hook) =>
      chain(`raw-${hook}`, `type filter hook ${hook} priority raw`, [
        // A pod may send from its own address only.
        ...(hook === 'prerouting' ? [`${PODS} iifname . ip saddr != @pod-links drop`] : []),
        `ip daddr ${dnsIp} udp dport 53 notrack`,
        `ip saddr ${dnsIp} udp sport 53 notrack`,
      ]),
    ),
    // Before the destination changes: source ranges are about the balancer's address.
    chain('firewall-prerouting', 'type filter hook prerouting priority dstnat - 10', [
      `ct state new ${TARGET} vmap @firewall-ips`,
    ]),
    chain('firewall-output', 'type filter hook output priority -110', [
      `ct state new ${TARGET} vmap @firewall-ips`,
    ]),
    chain('filter-input', 'type filter hook input priority filter', [
      // The node's own DNS: not for others, who could use it to have answers sent elsewhere.
      `ip daddr ${dnsIp} iifname != "lo" iifname != "${POD_LINK_PREFIX}*" drop`,
      'ct state established,related accept',
      `${PODS} tcp dport ${agentPort} goto refuse`,
      `${PODS} ip saddr vmap @egress-pods`,
      'jump endpoints-check',
    ]),
    chain('filter-forward', 'type filter hook forward priority filter', [
      'ct state established,related accept',
      `${PODS} ip daddr ${METADATA_IP} meta l4proto != { tcp, udp } drop`,
      `${PODS} ip daddr ${METADATA_IP} th dport != 53 goto refuse`,
      'ip saddr . ip daddr @hairpin accept',
      `${PODS} ip saddr vmap @egress-pods`,
      'ip daddr vmap @ingress-pods',
      'jump endpoints-check',
    ]),
    chain('filter-output', 'type filter hook output priority filter', [
      // While the agent restarts nobody listens: a client shall ask again, not take it for an answer.
      `ip saddr ${dnsIp} icmp type destination-unreachable drop`,
      'ct state established,related accept',
      'jump endpoints-check',
    ]),
  ]
}

function helperChains({ serviceRange, dnsIp }: TableSettings): string[] {
  return [
    chain('endpoints-check', '', [
      `${TARGET} vmap @no-endpoints`,
      // A cluster address that nobody translated: no such Service, or no such port.
      `ip daddr ${serviceRange} ip daddr != ${dnsIp} goto refuse`,
    ]),
    chain('refuse', '', ['meta l4proto tcp reject with tcp reset', 'reject']),
  ]
}

/** A chain of the table's script; `hook` is empty for one that is jumped to. */
function chain(name: string, hook: string, rules: readonly string[]): string {
  const policy = hook ? [`${hook}; policy accept;`] : []
  return [`chain ${name} {`, ...[...policy, ...rules].map((line) => `  ${line}`), '}'].join('\n')
}
