// urlMaps of global external Application Load Balancers: insert, get, list, update, patch, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/urlMaps

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { invalidField, resourceNotFound } from './google-error.ts'
import { needText, objectOf, objectsOf, textsOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import {
  changing,
  checkFingerprint,
  patternOf,
  resourceOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { addSimpleRoutes, linkedBy } from './simple-resource.ts'
import { fingerprintOf, type Named, type UrlMapResource } from './state.ts'

export function addUrlMapRoutes(app: Hono, ctx: Context, changed: () => Promise<void>): void {
  const type: ResourceType<UrlMapResource> = {
    plural: 'urlMaps',
    kind: 'compute#urlMap',
    scopeKind: 'global',
    isAggregated: true,
    items: ctx.state.urlMaps,
  }
  const { state } = ctx
  addSimpleRoutes(app, ctx, type, {
    read: (body) => readUrlMap(ctx, body),
    userOf: ({ selfLink }) =>
      linkedBy(state.targetHttpProxies, ({ urlMap }) => [urlMap], selfLink) ??
      linkedBy(state.targetHttpsProxies, ({ urlMap }) => [urlMap], selfLink),
    changed,
  })
  for (const verb of ['PUT', 'PATCH'] as const) {
    app.on(
      verb,
      `${patternOf(type)}/:name`,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        checkFingerprint(resource, body)
        const { kind, id, name, selfLink, creationTimestamp } = resource
        const named = { kind, id, name, selfLink, creationTimestamp }
        const wanted = verb === 'PUT' ? body : { ...resource, ...body }
        type.items[path] = { ...named, ...readUrlMap(ctx, wanted) }
        const operation = verb === 'PUT' ? 'update' : 'patch'
        const start = { scope: scopeOf(path), type: operation, target: path, requestId }
        return ctx.operations.start({ ...start, targetId: resource.id }, changed)
      }),
    )
  }
}

function readUrlMap(
  ctx: Context,
  body: Json,
): Omit<UrlMapResource, keyof Named> & { fingerprint: string } {
  const pathMatchers = objectsOf(body, 'pathMatchers').map((matcher, index) => ({
    name: needText(matcher, 'name'),
    defaultService: serviceOf(
      ctx,
      needText(matcher, 'defaultService'),
      `resource.pathMatchers[${index}].defaultService`,
    ),
    ...routeActionOf(matcher),
    pathRules: objectsOf(matcher, 'pathRules').map((rule, at) => ({
      paths: pathsOf(rule, `resource.pathMatchers[${index}].pathRules[${at}]`),
      service: serviceOf(
        ctx,
        needText(rule, 'service'),
        `resource.pathMatchers[${index}].pathRules[${at}].service`,
      ),
    })),
  }))
  const hostRules = objectsOf(body, 'hostRules').map((rule) => ({
    hosts: textsOf(rule, 'hosts'),
    pathMatcher: needText(rule, 'pathMatcher'),
  }))
  checkHosts(hostRules, pathMatchers)
  const map = {
    defaultService: serviceOf(ctx, needText(body, 'defaultService'), 'resource.defaultService'),
    ...routeActionOf(body),
    hostRules,
    pathMatchers,
  }
  return { ...map, fingerprint: fingerprintOf(map) }
}

function serviceOf(ctx: Context, link: string, field: string): string {
  const path = pathOf(link, field)
  if (ctx.state.httpBackendServices[path]) return linkTo(ctx.project, path)
  throw resourceNotFound(`projects/${ctx.project}/${path}`)
}

/** The only route action that is played: an answer that the balancer gives by itself. */
function routeActionOf(body: Json): { defaultRouteAction?: UrlMapResource['defaultRouteAction'] } {
  const action = objectOf(body, 'defaultRouteAction')
  if (!action) return {}
  const abort = objectOf(objectOf(action, 'faultInjectionPolicy') ?? {}, 'abort')
  const status = Number(abort?.['httpStatus'])
  if (!abort || Number(abort['percentage']) !== 100 || !(status >= 200 && status <= 599)) {
    throw invalidField(
      'resource.defaultRouteAction',
      JSON.stringify(action),
      'The emulator knows faultInjectionPolicy.abort of all requests only.',
    )
  }
  const faultInjectionPolicy = { abort: { httpStatus: status, percentage: 100 } }
  return { defaultRouteAction: { faultInjectionPolicy } }
}

function pathsOf(rule: Json, field: string): string[] {
  const paths = textsOf(rule, 'paths')
  for (const path of paths) {
    if (/^\/[^*?#]*$/.test(path) || /^\/([^*?#]*\/)?\*$/.test(path)) continue
    throw invalidField(
      `${field}.paths`,
      path,
      "Paths must start with '/' and '*' may only follow the last '/'.",
    )
  }
  return paths
}

function checkHosts(
  hostRules: readonly { hosts: readonly string[]; pathMatcher: string }[],
  pathMatchers: readonly { name: string; pathRules: readonly { paths: readonly string[] }[] }[],
): void {
  const names = new Set(pathMatchers.map(({ name }) => name))
  const seen = new Set<string>()
  for (const [index, { hosts, pathMatcher }] of hostRules.entries()) {
    const field = `resource.hostRules[${index}]`
    if (!names.has(pathMatcher)) {
      throw invalidField(`${field}.pathMatcher`, pathMatcher, 'The path matcher does not exist.')
    }
    for (const host of hosts) {
      if (seen.has(host)) throw invalidField(`${field}.hosts`, host, 'Duplicate host.')
      seen.add(host)
    }
  }
  for (const { name, pathRules } of pathMatchers) {
    const paths = pathRules.flatMap((rule) => rule.paths)
    const twice = paths.find((path, index) => paths.indexOf(path) !== index)
    if (twice) throw invalidField(`resource.pathMatchers[${name}]`, twice, 'Duplicate path.')
  }
}
