// forwardingRules of regional passthrough load balancers: insert, get, list, setLabels, delete.
// Like Google's they cannot be changed: other ports mean another rule.
// https://cloud.google.com/compute/docs/reference/rest/v1/forwardingRules

import type { Hono } from 'hono'
import { newBalancerAddress } from './addressing.ts'
import { newNamed, type Context } from './context.ts'
import { invalidField, resourceExists, resourceNotFound, GoogleError } from './google-error.ts'
import { needName, needText, textMapOf, textOf, textsOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { fingerprintOf, type ForwardingRule } from './state.ts'

const PORTS_MAX = 5

export function addForwardingRuleRoutes(
  app: Hono,
  ctx: Context,
  changed: () => Promise<void>,
): void {
  const type: ResourceType<ForwardingRule> = {
    plural: 'forwardingRules',
    kind: 'compute#forwardingRule',
    scopeKind: 'regions',
    items: ctx.state.forwardingRules,
    global: ctx.state.globalForwardingRules,
  }
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => {
      const scope = scopeOfRequest(ctx, c)
      const path = `${scope}/forwardingRules/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      const rule = readRule(ctx, body)
      portsConflict(ctx, rule)
      const named = newNamed(ctx, type.kind, path)
      type.items[path] = { ...named, region: linkTo(ctx.project, scope), ...rule }
      const start = { scope, type: 'insert', target: path, targetId: named.id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }),
  )
  app.post(
    `${patternOf(type)}/:name/setLabels`,
    changing(ctx, (c, body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      resource.labels = textMapOf(body, 'labels')
      const start = { scope: scopeOf(path), type: 'setLabels', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
  app.delete(
    `${patternOf(type)}/:name`,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      delete type.items[path]
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }),
  )
}

type Rule = Omit<
  ForwardingRule,
  'kind' | 'id' | 'name' | 'selfLink' | 'creationTimestamp' | 'region'
>

function readRule(ctx: Context, body: Json): Rule {
  const service = pathOf(needText(body, 'backendService'), 'resource.backendService')
  if (!ctx.state.backendServices[service]) {
    throw resourceNotFound(`projects/${ctx.project}/${service}`)
  }
  const range = textOf(body, 'portRange')
  const ports = textsOf(body, 'ports')
  if (ports.length > PORTS_MAX) {
    throw invalidField('resource.ports', ports.join(','), `At most ${PORTS_MAX} ports are allowed.`)
  }
  const shown = ports.length > 0 ? ports : portsOfRange(range)
  const rule = {
    IPAddress: addressOfRule(ctx, body),
    IPProtocol: textOf(body, 'IPProtocol') ?? 'TCP',
    ports: shown,
    portRange: range ?? rangeOf(shown),
    loadBalancingScheme: textOf(body, 'loadBalancingScheme') ?? 'EXTERNAL',
    networkTier: textOf(body, 'networkTier') ?? 'PREMIUM',
    backendService: linkTo(ctx.project, service),
    labels: textMapOf(body, 'labels'),
  }
  return { ...rule, fingerprint: fingerprintOf(rule) }
}

/** An address in digits, or the link of a reserved one. */
export function addressOfRule(ctx: Context, body: Json): string {
  const text = textOf(body, 'IPAddress')
  if (text === undefined) return newBalancerAddress(ctx)
  if (!text.includes('/')) return text
  const path = pathOf(text, 'resource.IPAddress')
  const address = ctx.state.addresses[path]
  if (address) return address.address
  throw resourceNotFound(`projects/${ctx.project}/${path}`)
}

function portsOfRange(range: string | undefined): string[] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(range ?? '')
  if (!match) throw invalidField('resource.portRange', range ?? '', 'Ports are needed.')
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  if (last < first || last - first >= 100) {
    throw invalidField(
      'resource.portRange',
      range ?? '',
      'The emulator listens on at most 100 ports.',
    )
  }
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
}

function rangeOf(ports: string[]): string {
  const numbers = ports.map(Number)
  return `${Math.min(...numbers)}-${Math.max(...numbers)}`
}

/** Refuses a rule whose address and port another one has. */
export function portsConflict(
  { state }: Context,
  rule: Pick<Rule, 'IPAddress' | 'IPProtocol' | 'ports'>,
): void {
  const others = [
    ...Object.values(state.forwardingRules),
    ...Object.values(state.globalForwardingRules).map((one) => ({
      ...one,
      ports: [String(Number.parseInt(one.portRange, 10))],
    })),
  ]
  const other = others.find(
    (one) =>
      one.IPAddress === rule.IPAddress &&
      one.IPProtocol === rule.IPProtocol &&
      one.ports.some((port) => rule.ports.includes(port)),
  )
  if (!other) return
  throw new GoogleError(
    'invalid',
    `Invalid value for field 'resource.IPAddress': '${rule.IPAddress}'. Specified IP address is in-use and would result in a conflict.`,
  )
}
