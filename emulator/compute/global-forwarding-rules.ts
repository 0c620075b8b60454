// globalForwardingRules of external Application Load Balancers: insert, get, list, setTarget, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/globalForwardingRules

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { invalidField, resourceNotFound } from './google-error.ts'
import { addressOfRule, portsConflict } from './forwarding-rules.ts'
import { needText, textMapOf, textOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import { changing, patternOf, resourceOfRequest, type ResourceType } from './resource-routes.ts'
import { addSimpleRoutes } from './simple-resource.ts'
import { fingerprintOf, type GlobalForwardingRule, type Named } from './state.ts'

export function addGlobalForwardingRuleRoutes(
  app: Hono,
  ctx: Context,
  changed: () => Promise<void>,
): void {
  const type: ResourceType<GlobalForwardingRule> = {
    plural: 'forwardingRules',
    kind: 'compute#forwardingRule',
    scopeKind: 'global',
    items: ctx.state.globalForwardingRules,
  }
  addSimpleRoutes(app, ctx, type, {
    read: (body) => readRule(ctx, body),
    userOf: () => undefined,
    changed,
  })
  app.post(
    `${patternOf(type)}/:name/setTarget`,
    changing(ctx, (c, body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      resource.target = targetOf(ctx, body)
      const start = { scope: scopeOf(path), type: 'setTarget', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }),
  )
}

function readRule(
  ctx: Context,
  body: Json,
): Omit<GlobalForwardingRule, keyof Named> & { fingerprint: string } {
  const text = textOf(body, 'portRange') ?? ''
  const port = /^(\d+)(?:-\1)?$/.exec(text)?.[1]
  if (!port) throw invalidField('resource.portRange', text, 'Exactly one port is allowed.')
  const rule = {
    IPAddress: addressOfRule(ctx, body),
    IPProtocol: 'TCP',
    portRange: `${port}-${port}`,
    target: targetOf(ctx, body),
    loadBalancingScheme: textOf(body, 'loadBalancingScheme') ?? 'EXTERNAL_MANAGED',
    networkTier: 'PREMIUM',
    labels: textMapOf(body, 'labels'),
  }
  portsConflict(ctx, { ...rule, ports: [port] })
  return { ...rule, fingerprint: fingerprintOf(rule) }
}

function targetOf(ctx: Context, body: Json): string {
  const path = pathOf(needText(body, 'target'), 'resource.target')
  const { targetHttpProxies, targetHttpsProxies } = ctx.state
  if (targetHttpProxies[path] ?? targetHttpsProxies[path]) return linkTo(ctx.project, path)
  throw resourceNotFound(`projects/${ctx.project}/${path}`)
}
