// targetHttpProxies and targetHttpsProxies, global: insert, get, list, setUrlMap, setSslCertificates, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/targetHttpsProxies

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { invalidField, resourceNotFound } from './google-error.ts'
import { needText, textsOf, type Json } from './json.ts'
import { linkTo, pathOf } from './links.ts'
import { changing, needResource, patternOf, type ResourceType } from './resource-routes.ts'
import { addSimpleRoutes, linkedBy } from './simple-resource.ts'
import type { TargetProxy } from './state.ts'

const CERTIFICATES_MAX = 15

export function addTargetProxyRoutes(app: Hono, ctx: Context, changed: () => Promise<void>): void {
  const { state } = ctx
  const userOf = ({ selfLink }: TargetProxy): string | undefined =>
    linkedBy(state.globalForwardingRules, ({ target }) => [target], selfLink)
  const http: ResourceType<TargetProxy> = {
    plural: 'targetHttpProxies',
    kind: 'compute#targetHttpProxy',
    scopeKind: 'global',
    isAggregated: true,
    items: state.targetHttpProxies,
  }
  const https: ResourceType<TargetProxy> = {
    plural: 'targetHttpsProxies',
    kind: 'compute#targetHttpsProxy',
    scopeKind: 'global',
    isAggregated: true,
    items: state.targetHttpsProxies,
  }
  addSimpleRoutes(app, ctx, http, {
    read: (body) => ({ urlMap: urlMapOf(ctx, body) }),
    userOf,
    changed,
  })
  addSimpleRoutes(app, ctx, https, {
    read: (body) => ({ urlMap: urlMapOf(ctx, body), sslCertificates: certificatesOf(ctx, body) }),
    userOf,
    changed,
  })
  for (const type of [http, https]) {
    addSetter(app, ctx, type, 'setUrlMap', changed, (proxy, body) => {
      proxy.urlMap = urlMapOf(ctx, body)
    })
  }
  addSetter(app, ctx, https, 'setSslCertificates', changed, (proxy, body) => {
    proxy.sslCertificates = certificatesOf(ctx, body)
  })
}

/** Google has these without `global/` in their path, and takes it with it too. */
function addSetter(
  app: Hono,
  ctx: Context,
  type: ResourceType<TargetProxy>,
  verb: string,
  changed: () => Promise<void>,
  set: (proxy: TargetProxy, body: Json) => void,
): void {
  for (const pattern of [`/${type.plural}`, patternOf(type)]) {
    app.post(
      `${pattern}/:name/${verb}`,
      changing(ctx, (c, body, requestId) => {
        const path = `global/${type.plural}/${c.req.param('name')}`
        const proxy = needResource(ctx, type, path)
        set(proxy, body)
        const start = { scope: 'global', type: verb, target: path, targetId: proxy.id }
        return ctx.operations.start({ ...start, requestId }, changed)
      }),
    )
  }
}

function urlMapOf(ctx: Context, body: Json): string {
  const path = pathOf(needText(body, 'urlMap'), 'resource.urlMap')
  if (ctx.state.urlMaps[path]) return linkTo(ctx.project, path)
  throw resourceNotFound(`projects/${ctx.project}/${path}`)
}

function certificatesOf(ctx: Context, body: Json): string[] {
  const links = textsOf(body, 'sslCertificates')
  if (links.length === 0 || links.length > CERTIFICATES_MAX) {
    throw invalidField(
      'resource.sslCertificates',
      String(links.length),
      `There must be between 1 and ${CERTIFICATES_MAX} SSL certificates.`,
    )
  }
  return links.map((link) => {
    const path = pathOf(link, 'resource.sslCertificates')
    if (ctx.state.sslCertificates[path]) return linkTo(ctx.project, path)
    throw resourceNotFound(`projects/${ctx.project}/${path}`)
  })
}
