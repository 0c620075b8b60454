// backendServices (global) of external Application Load Balancers, with network endpoint groups behind
// them: insert, get, list, update, patch, delete, getHealth.
// https://cloud.google.com/compute/docs/reference/rest/v1/backendServices

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { invalidField, resourceNotFound } from './google-error.ts'
import { needText, numberOf, objectOf, objectsOf, textOf, textsOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import { endpointsOf, nameOfEndpoint, type EndpointHealthOf } from './network-endpoint-groups.ts'
import {
  changing,
  checkFingerprint,
  patternOf,
  resourceOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { addSimpleRoutes } from './simple-resource.ts'
import { fingerprintOf, type HttpBackendService, type Named, type UrlMapResource } from './state.ts'

export function addHttpBackendServiceRoutes(
  app: Hono,
  ctx: Context,
  healthOf: EndpointHealthOf,
  changed: () => Promise<void>,
): void {
  const { state } = ctx
  const type: ResourceType<HttpBackendService> = {
    plural: 'backendServices',
    kind: 'compute#backendService',
    scopeKind: 'global',
    items: state.httpBackendServices,
  }
  addSimpleRoutes(app, ctx, type, {
    read: (body) => readService(ctx, body),
    userOf: ({ selfLink }) =>
      Object.entries(state.urlMaps).find(([, map]) => servicesOf(map).includes(selfLink))?.[0],
    changed,
  })
  const one = `${patternOf(type)}/:name`
  for (const verb of ['PUT', 'PATCH'] as const) {
    app.on(
      verb,
      one,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        checkFingerprint(resource, body)
        const wanted = verb === 'PUT' ? body : { ...resource, ...body }
        type.items[path] = { ...resource, ...readService(ctx, wanted) }
        const operation = verb === 'PUT' ? 'update' : 'patch'
        const start = { scope: scopeOf(path), type: operation, target: path, requestId }
        return ctx.operations.start({ ...start, targetId: resource.id }, changed)
      }),
    )
  }
  app.post(`${one}/getHealth`, async (c) => {
    const { path, resource } = resourceOfRequest(ctx, type, c)
    const body: unknown = await c.req.json().catch(() => ({}))
    const link =
      typeof body === 'object' && body !== null && 'group' in body ? String(body.group) : ''
    const group = state.networkEndpointGroups[pathOf(link, 'group')]
    if (!group || !resource.backends.some((backend) => backend.group === group.selfLink)) {
      throw invalidField('group', link, 'The group is not a backend of this service.')
    }
    return c.json({
      kind: 'compute#backendServiceGroupHealth',
      healthStatus: endpointsOf(ctx, group).map((endpoint) => ({
        ipAddress: endpoint.ipAddress,
        port: endpoint.port,
        healthState: healthOf(path, nameOfEndpoint(endpoint)),
      })),
    })
  })
}

/** Links of every service that a URL map names. */
function servicesOf({ defaultService, pathMatchers }: UrlMapResource): string[] {
  return [
    defaultService,
    ...pathMatchers.flatMap((matcher) => [
      matcher.defaultService,
      ...matcher.pathRules.map(({ service }) => service),
    ]),
  ]
}

function readService(
  ctx: Context,
  body: Json,
): Omit<HttpBackendService, keyof Named> & { fingerprint: string } {
  const healthChecks = textsOf(body, 'healthChecks').map((link) => {
    const path = pathOf(link, 'resource.healthChecks')
    if (ctx.state.healthChecks[path]) return linkTo(ctx.project, path)
    throw resourceNotFound(`projects/${ctx.project}/${path}`)
  })
  const protocol = textOf(body, 'protocol') ?? 'HTTP'
  if (protocol !== 'HTTP') {
    throw invalidField('resource.protocol', protocol, 'The emulator speaks HTTP to endpoints.')
  }
  const backends = readBackends(ctx, body)
  if (backends.length > 0 && healthChecks.length !== 1) {
    throw invalidField('resource.healthChecks', '', 'Exactly one health check is needed.')
  }
  const service = {
    protocol,
    loadBalancingScheme: textOf(body, 'loadBalancingScheme') ?? 'EXTERNAL_MANAGED',
    sessionAffinity: textOf(body, 'sessionAffinity') ?? 'NONE',
    timeoutSec: numberOf(body, 'timeoutSec') ?? 30,
    healthChecks,
    backends,
    connectionDraining: {
      drainingTimeoutSec:
        numberOf(objectOf(body, 'connectionDraining') ?? {}, 'drainingTimeoutSec') ?? 0,
    },
  }
  return { ...service, fingerprint: fingerprintOf(service) }
}

function readBackends(ctx: Context, body: Json): HttpBackendService['backends'] {
  return objectsOf(body, 'backends').map((backend) => {
    const path = pathOf(needText(backend, 'group'), 'resource.backends.group')
    if (!ctx.state.networkEndpointGroups[path]) {
      throw resourceNotFound(`projects/${ctx.project}/${path}`)
    }
    return {
      group: linkTo(ctx.project, path),
      balancingMode: textOf(backend, 'balancingMode') ?? 'RATE',
      maxRatePerEndpoint: numberOf(backend, 'maxRatePerEndpoint') ?? 1,
    }
  })
}
