// firewalls: insert, get, list, update, patch, delete, and the rules that are there before anybody makes
// one: those of Google's default network, and those that infra/terraform makes for Wherry's VMs (here for
// every VM, since all of them are Wherry's).
// https://cloud.google.com/compute/docs/reference/rest/v1/firewalls

import type { Hono } from 'hono'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import { rangeOf, type AddressPlan } from './address-plan.ts'
import { newNamed, type Context } from './context.ts'
import { invalidField } from './google-error.ts'
import { numberOf, objectOf, objectsOf, textOf, textsOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import { changing, patternOf, resourceOfRequest, type ResourceType } from './resource-routes.ts'
import { addSimpleRoutes } from './simple-resource.ts'
import type { Firewall, FirewallPorts, Named } from './state.ts'

const NETWORK = 'global/networks/default'
const EVERYBODY = ['0.0.0.0/0']
/** https://cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges */
const HEALTH_CHECKERS = ['35.191.0.0/16', '130.211.0.0/22', '209.85.152.0/22', '209.85.204.0/22']

/** `changed`: brings the rules into force; the operation is done when that is. */
export function addFirewallRoutes(app: Hono, ctx: Context, changed: () => Promise<void>): void {
  const type: ResourceType<Firewall> = {
    plural: 'firewalls',
    kind: 'compute#firewall',
    scopeKind: 'global',
    items: ctx.state.firewalls,
  }
  const read = (body: Json): Rule => readFirewall(ctx, body)
  addSimpleRoutes(app, ctx, type, { read, userOf: () => undefined, changed })
  const change = (isPatch: boolean): Parameters<typeof changing>[1] => {
    return (c, body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const { kind, id, name, selfLink, creationTimestamp, ...rule } = resource
      const named = { kind, id, name, selfLink, creationTimestamp }
      type.items[path] = { ...named, ...read(isPatch ? { ...rule, ...body } : body) }
      const start = { scope: scopeOf(path), type: 'patch', target: path, targetId: id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }
  }
  app.patch(`${patternOf(type)}/:name`, changing(ctx, change(true)))
  app.put(`${patternOf(type)}/:name`, changing(ctx, change(false)))
}

type Rule = Omit<Firewall, keyof Named>

const PRIORITY_MAX = 65_535
/** Google's: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules */
const PRIORITY_DEFAULT = 1000

function readFirewall({ project }: Context, body: Json): Rule {
  const allowed = readPorts(body, 'allowed')
  const denied = readPorts(body, 'denied')
  if ((allowed.length === 0) === (denied.length === 0)) {
    throw invalidField('resource', 'allowed, denied', 'Exactly one of them must be specified.')
  }
  const direction = textOf(body, 'direction') ?? 'INGRESS'
  if (direction !== 'INGRESS' && direction !== 'EGRESS') {
    throw invalidField('resource.direction', direction, 'Must be INGRESS or EGRESS.')
  }
  for (const field of ['sourceServiceAccounts', 'targetServiceAccounts']) {
    if (textsOf(body, field).length === 0) continue
    throw invalidField(`resource.${field}`, '', 'Service accounts are not emulated; use tags.')
  }
  const sourceTags = textsOf(body, 'sourceTags')
  const targetTags = textsOf(body, 'targetTags')
  if (direction === 'EGRESS' && sourceTags.length > 0) {
    throw invalidField('resource.sourceTags', sourceTags[0] ?? '', 'Not for EGRESS rules.')
  }
  const sources = readRanges(body, 'sourceRanges')
  const destinations = readRanges(body, 'destinationRanges')
  const isFromAll = direction === 'INGRESS' && sources.length + sourceTags.length === 0
  const isToAll = direction === 'EGRESS' && destinations.length === 0
  const network = pathOf(textOf(body, 'network') ?? NETWORK, 'resource.network')
  return {
    description: textOf(body, 'description') ?? '',
    network: linkTo(project, network),
    priority: readPriority(body),
    direction,
    ...listed('sourceRanges', isFromAll ? EVERYBODY : sources),
    ...listed('destinationRanges', isToAll ? EVERYBODY : destinations),
    ...listed('sourceTags', sourceTags),
    ...listed('targetTags', targetTags),
    ...listed('allowed', allowed),
    ...listed('denied', denied),
    disabled: body['disabled'] === true,
    logConfig: { enable: objectOf(body, 'logConfig')?.['enable'] === true },
  }
}

/** What is empty is not shown. */
function listed<K extends string, T>(name: K, list: T[]): { [key in K]?: T[] } {
  const made: { [key in K]?: T[] } = {}
  if (list.length > 0) made[name] = list
  return made
}

function readPriority(body: Json): number {
  const priority = numberOf(body, 'priority') ?? PRIORITY_DEFAULT
  if (Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_MAX) return priority
  const why = `Must be an integer from 0 to ${PRIORITY_MAX}.`
  throw invalidField('resource.priority', String(priority), why)
}

const RANGE =
  /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\/(?:3[0-2]|[12]?\d))?$/

function readRanges(body: Json, field: string): string[] {
  const ranges = textsOf(body, field)
  const bad = ranges.find((range) => !RANGE.test(range))
  if (bad === undefined) return ranges
  throw invalidField(`resource.${field}`, bad, 'Must be an IPv4 address range in CIDR format.')
}

const WITH_PORTS = ['tcp', 'udp', 'sctp']
const PROTOCOL = /^(?:tcp|udp|sctp|icmp|esp|ah|ipip|all|25[0-5]|2[0-4]\d|1?\d?\d)$/
const PORTS = /^(\d{1,5})(?:-(\d{1,5}))?$/
const PORT_MAX = 65_535

function readPorts(body: Json, field: 'allowed' | 'denied'): FirewallPorts[] {
  return objectsOf(body, field).map((each) => {
    const protocol = (textOf(each, 'IPProtocol') ?? '').toLowerCase()
    if (!PROTOCOL.test(protocol)) {
      throw invalidField(`resource.${field}[].IPProtocol`, protocol, 'Unknown protocol.')
    }
    const ports = textsOf(each, 'ports')
    for (const port of ports) {
      const [, from = '', to = from] = PORTS.exec(port) ?? []
      const isGood = from !== '' && Number(from) <= Number(to) && Number(to) <= PORT_MAX
      if (isGood && WITH_PORTS.includes(protocol)) continue
      const why = isGood ? `Protocol ${protocol} has no ports.` : 'Must be a port or a range.'
      throw invalidField(`resource.${field}[].ports`, port, why)
    }
    return { IPProtocol: protocol, ...listed('ports', ports) }
  })
}

/** A new network has these; of a saved one those that still stand follow the plan's addresses. */
export function seedFirewalls(ctx: Context, isNew: boolean): void {
  for (const { name, ...body } of seeds(ctx.plan)) {
    const path = `global/firewalls/${name}`
    const rule = readFirewall(ctx, body)
    const present = ctx.state.firewalls[path]
    if (isNew) ctx.state.firewalls[path] = { ...newNamed(ctx, 'compute#firewall', path), ...rule }
    else if (present) ctx.state.firewalls[path] = { ...present, ...pick(rule) }
  }
}

const pick = ({ sourceRanges }: Rule): Pick<Rule, 'sourceRanges'> =>
  sourceRanges ? { sourceRanges } : {}

function seeds(plan: AddressPlan): (Json & { name: string })[] {
  const allow = (...protocols: string[]): FirewallPorts[] =>
    protocols.map((each) => {
      const [IPProtocol = '', ports] = each.split(':')
      return { IPProtocol, ...(ports ? { ports: [ports] } : {}) }
    })
  const last = { priority: 65_534 }
  const agent = allow(`tcp:${AGENT_PORT}`)
  const inside = allow('tcp:0-65535', 'udp:0-65535', 'icmp')
  return [
    { name: 'default-allow-icmp', ...last, allowed: allow('icmp') },
    {
      name: 'default-allow-internal',
      ...last,
      sourceRanges: ['10.128.0.0/9'],
      allowed: inside,
    },
    { name: 'default-allow-rdp', ...last, allowed: allow('tcp:3389') },
    { name: 'default-allow-ssh', ...last, allowed: allow('tcp:22') },
    {
      name: 'wherry-internal',
      priority: 900,
      sourceRanges: [rangeOf(plan, 'vms'), rangeOf(plan, 'pods')],
      allowed: allow('all'),
    },
    {
      name: 'wherry-api-to-agents',
      priority: 900,
      sourceRanges: [`${plan.host}/32`],
      allowed: agent,
    },
    {
      name: 'wherry-health-checks',
      priority: 900,
      sourceRanges: HEALTH_CHECKERS,
      allowed: agent,
    },
    {
      name: 'wherry-http-balancers',
      priority: 1100,
      sourceRanges: HEALTH_CHECKERS.slice(0, 2),
      allowed: allow('tcp'),
    },
  ]
}
