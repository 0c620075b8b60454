// The firewall rules of the VPC in its namespace's kernel. Whatever does not pass from VM to VM, or in
// from outside, is dropped unless a rule allows it; what leaves a VM passes unless a rule denies it.
// Rules count by priority, and of one priority those that deny first. Answers always pass.
// https://cloud.google.com/firewall/docs/firewalls#firewall_rule_components

import type { VpcFirewall } from '../firewall-force.ts'
import type { Context } from '../context.ts'
import { offsetIn } from '../address-plan.ts'
import type { Firewall, FirewallPorts, Instance } from '../state.ts'
import { nft } from './run.ts'
import type { Slot } from './slots.ts'
import { linkOf } from './vpc-namespace.ts'
import { HEALTH_CHECKER } from './vpc-rules.ts'

export function createKernelFirewall(slot: Slot, ctx: Context): VpcFirewall {
  let loaded = ''
  let pending: Promise<void> = Promise.resolve()

  async function load(): Promise<void> {
    const rules = firewallRules(slot, ctx)
    if (rules === loaded) return
    await nft(`flush chain ip vpc ingress\nflush chain ip vpc egress\n${rules}`, slot.name)
    loaded = rules
  }

  return {
    /** One after the other: what was there when it began may not be all. */
    refresh() {
      const mine = pending.then(load)
      pending = mine.catch(() => {})
      return mine
    },
  }
}

/** What nft reads; rules in the order in which they count. */
export function firewallRules(
  { uplink }: Pick<Slot, 'uplink'>,
  ctx: Pick<Context, 'state' | 'plan'>,
): string {
  const vms = vmsOf(ctx)
  const rules = Object.values(ctx.state.firewalls)
    .filter(({ disabled }) => !disabled)
    .toSorted(byPriority)
  const lines = rules.flatMap((rule) => {
    const isIngress = rule.direction === 'INGRESS'
    const links = rule.targetTags?.length
      ? vms.filter(({ tags }) => isTagged(tags, rule.targetTags)).map(({ link }) => link)
      : ['"vm*"']
    const verdict = rule.denied ? 'drop' : isIngress ? 'accept' : 'return'
    const chain = isIngress ? 'ingress' : 'egress'
    return product(
      // Names of links with a wildcard are no members of sets.
      links.map((link) => `${isIngress ? 'oifname' : 'iifname'} ${link}`),
      sourcesOf(rule, vms, uplink.prober),
      (rule.destinationRanges ?? ['']).map((range) => range && `ip daddr ${range}`),
      (rule.allowed ?? rule.denied ?? []).map(portsOf),
    ).map((match) => `add rule ip vpc ${chain} ${match} ${verdict}\n`)
  })
  return lines.join('')
}

interface TaggedVm {
  link: string
  ip: string
  tags: readonly string[]
}

function vmsOf({ state, plan }: Pick<Context, 'state' | 'plan'>): TaggedVm[] {
  return Object.values(state.instances).flatMap((instance) => {
    const ip = instance.networkInterfaces[0]?.networkIP ?? ''
    const number = ip ? offsetIn(plan, 'vms', ip) : undefined
    return number === undefined ? [] : [{ link: linkOf({ number }), ip, tags: tagsOf(instance) }]
  })
}

function tagsOf({ tags }: Instance): string[] {
  const { items } = tags
  return Array.isArray(items) ? items.map(String) : []
}

function isTagged(tags: readonly string[], wanted: readonly string[] | undefined): boolean {
  return wanted?.some((tag) => tags.includes(tag)) ?? false
}

function byPriority(left: Firewall, right: Firewall): number {
  return left.priority - right.priority || Number(!left.denied) - Number(!right.denied)
}

/** Ranges, or VMs with a tag: either is enough. */
function sourcesOf(rule: Firewall, vms: readonly TaggedVm[], prober: string): string[] {
  if (!rule.sourceRanges && !rule.sourceTags) return ['']
  const tagged = vms.filter(({ tags }) => isTagged(tags, rule.sourceTags)).map(({ ip }) => ip)
  const ranges = rule.sourceRanges ?? []
  // Packets of health checkers get their address only after this.
  const probers = ranges.some((range) => contains(range, HEALTH_CHECKER)) ? [prober] : []
  return [...new Set([...ranges, ...probers, ...tagged])].map((each) => `ip saddr ${each}`)
}

function portsOf({ IPProtocol: protocol, ports }: FirewallPorts): string {
  if (protocol === 'all') return ''
  if (ports) return `${protocol} dport { ${ports.join(', ')} }`
  return `meta l4proto ${protocol === 'ipip' ? 4 : protocol}`
}

/** One of each, all combinations. */
function product(...parts: readonly (readonly string[])[]): string[] {
  return parts.reduce<string[]>(
    (made, part) => made.flatMap((head) => part.map((each) => `${head} ${each}`.trim())),
    [''],
  )
}

function contains(range: string, address: string): boolean {
  const [first = '', bits = '32'] = range.split('/')
  const size = 2 ** (32 - Number(bits))
  return Math.floor(toNumber(first) / size) === Math.floor(toNumber(address) / size)
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}
