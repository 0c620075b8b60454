// From resolved NetworkPolicies to the table: pure. Each policy has sets of its peers' addresses, so
// that a peer more or less is one element; each isolated pod has a chain a direction, which returns for
// what a rule admits and drops the rest. Answers to what was admitted pass before any of it.

import type { PodPolicy, PolicyRule } from '#shared/api/agent-wire.ts'
import { isIpv4Cidr } from '#shared/api/cidr.ts'
import { isIpv4 } from '#shared/api/name-rules.ts'
import { FragmentDraft } from './fragment-draft.ts'
import type { Fragment } from './ruleset.ts'

type Direction = 'ingress' | 'egress'
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

/** The sets of peers' addresses of one policy. */
export function policyFragment(policy: PodPolicy): Fragment {
  const draft = new FragmentDraft()
  for (const direction of DIRECTIONS) {
    for (const [index, { addresses = [] }] of (policy[direction] ?? []).entries()) {
      const usable = addresses.filter(isIpv4)
      if (usable.length === 0) continue
      const name = setName(policy, direction, index)
      draft.set(name, 'type ipv4_addr;')
      for (const address of usable) draft.element(name, address)
    }
  }
  return draft.fragment()
}

/** Adds what isolates one pod: `link` names its chains. Nothing when no policy selects it. */
export function addIsolation(
  draft: FragmentDraft,
  pod: { uid: string; ip: string; link: string },
  policies: readonly PodPolicy[],
): void {
  const own = policies.filter(({ pods }) => pods.includes(pod.uid))
  for (const direction of DIRECTIONS) {
    const isolating = own.filter((policy) => policy[direction] !== undefined)
    if (isolating.length === 0) continue
    const rules = isolating.flatMap((policy) =>
      (policy[direction] ?? []).flatMap((rule, index) =>
        rule.pods && !rule.pods.includes(pod.uid)
          ? []
          : ruleTexts(rule, direction, setName(policy, direction, index)),
      ),
    )
    const chain = `${direction}-${pod.link}`
    draft.chain(chain, [...new Set(rules), 'drop'])
    draft.element(`${direction}-pods`, pod.ip, `jump ${chain}`)
  }
}

function setName({ namespace, name }: PodPolicy, direction: Direction, index: number): string {
  return `peers-${namespace}/${name}/${direction}/${index}`
}

function ruleTexts(rule: PolicyRule, direction: Direction, set: string): string[] {
  const side = direction === 'ingress' ? 'ip saddr' : 'ip daddr'
  const ports = portTexts(rule.ports)
  return peerTexts(rule, side, set).flatMap((peer) =>
    ports.map((port) => [peer, port, 'return'].filter(Boolean).join(' ')),
  )
}

function peerTexts({ addresses, blocks }: PolicyRule, side: string, set: string): string[] {
  if (!addresses && !blocks) return ['']
  const ranges = (blocks ?? [])
    .filter(({ cidr }) => isIpv4Cidr(cidr))
    .map(({ cidr, except }) => {
      const holes = except.filter(isIpv4Cidr).map((range) => ` ${side} != ${range}`)
      return `${side} ${cidr}${holes.join('')}`
    })
  return [...(addresses?.some(isIpv4) ? [`${side} @${set}`] : []), ...ranges]
}

function portTexts(ports: PolicyRule['ports']): string[] {
  if (!ports) return ['']
  return [...Map.groupBy(ports, ({ protocol }) => protocol.toLowerCase())].map(
    ([protocol, list]) => {
      const ranges = merged(list)
      return ranges ? `${protocol} dport { ${ranges.join(', ')} }` : `meta l4proto ${protocol}`
    },
  )
}

/** The ports as ranges that do not overlap, which a set would not take; undefined: all. */
function merged(ports: readonly { port?: number; endPort?: number }[]): string[] | undefined {
  const ranges: { first: number; last: number }[] = []
  for (const { port, endPort } of [...ports].sort((a, b) => (a.port ?? 0) - (b.port ?? 0))) {
    if (port === undefined) return undefined
    const last = ranges.at(-1)
    const end = Math.max(endPort ?? port, port)
    if (last && port <= last.last + 1) last.last = Math.max(last.last, end)
    else ranges.push({ first: port, last: end })
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`))
}
