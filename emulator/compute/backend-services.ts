// regionBackendServices of passthrough load balancers: insert, get, list, update, patch, delete,
// getHealth.
// https://cloud.google.com/compute/docs/reference/rest/v1/regionBackendServices

import type { Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import { invalidField, resourceExists, resourceInUse, resourceNotFound } from './google-error.ts'
import { runningMembers } from './instance-group-managers.ts'
import { needName, needText, objectOf, objectsOf, textOf, textsOf, type Json } from './json.ts'
import { linkTo, pathOf, scopeOf } from './links.ts'
import type { HealthOf } from './managed-instances.ts'
import {
  addReadRoutes,
  changing,
  checkFingerprint,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { fingerprintOf, type BackendService } from './state.ts'

export function addBackendServiceRoutes(
  app: Hono,
  ctx: Context,
  healthOf: HealthOf,
  changed: () => void,
): void {
  const type: ResourceType<BackendService> = {
    plural: 'backendServices',
    kind: 'compute#backendService',
    scopeKind: 'regions',
    items: ctx.state.backendServices,
    global: ctx.state.httpBackendServices,
  }
  const one = `${patternOf(type)}/:name`
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => {
      const scope = scopeOfRequest(ctx, c)
      const path = `${scope}/backendServices/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      const service = { ...newNamed(ctx, type.kind, path), ...readService(ctx, body) }
      type.items[path] = { ...service, region: linkTo(ctx.project, scope) }
      changed()
      const start = { scope, type: 'insert', target: path, targetId: service.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
  // PUT replaces: what the body does not name is empty afterwards. PATCH keeps it.
  for (const verb of ['PUT', 'PATCH'] as const) {
    app.on(
      verb,
      one,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        checkFingerprint(resource, body)
        const wanted = verb === 'PUT' ? body : { ...resource, ...body }
        type.items[path] = { ...resource, ...readService(ctx, wanted) }
        changed()
        const operation = verb === 'PUT' ? 'update' : 'patch'
        const start = { scope: scopeOf(path), type: operation, target: path, requestId }
        return ctx.operations.start({ ...start, targetId: resource.id })
      }),
    )
  }
  app.delete(
    one,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const rule = Object.entries(ctx.state.forwardingRules).find(
        ([, { backendService }]) => backendService === resource.selfLink,
      )
      const full = `projects/${ctx.project}/${path}`
      if (rule) throw resourceInUse(full, `projects/${ctx.project}/${rule[0]}`)
      delete type.items[path]
      changed()
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
  app.post(`${one}/getHealth`, async (c) => {
    const { resource } = resourceOfRequest(ctx, type, c)
    const body: unknown = await c.req.json().catch(() => ({}))
    const group =
      typeof body === 'object' && body !== null && 'group' in body ? String(body.group) : ''
    return c.json({
      kind: 'compute#backendServiceGroupHealth',
      healthStatus: healthStatus(ctx, resource, group, healthOf),
    })
  })
}

/** The manager's path behind a backend's group link. */
export function managerPathOf(group: string): string {
  return pathOf(group, 'group').replace('/instanceGroups/', '/instanceGroupManagers/')
}

function healthStatus(
  ctx: Context,
  service: BackendService,
  group: string,
  healthOf: HealthOf,
): object[] {
  const manager = managerPathOf(group)
  if (!service.backends.some((backend) => managerPathOf(backend.group) === manager)) {
    throw invalidField('group', group, 'The group is not a backend of this service.')
  }
  const rule = Object.values(ctx.state.forwardingRules).find(
    ({ backendService }) => backendService === service.selfLink,
  )
  return runningMembers(ctx, manager).map((path) => {
    const checks = service.healthChecks.map((link) => healthOf(pathOf(link, 'healthChecks'), path))
    return {
      instance: linkTo(ctx.project, path),
      ipAddress: ctx.state.instances[path]?.networkInterfaces[0]?.networkIP,
      healthState: checks.every((state) => state === 'HEALTHY') ? 'HEALTHY' : 'UNHEALTHY',
      ...(rule ? { forwardingRule: rule.selfLink, forwardingRuleIp: rule.IPAddress } : {}),
    }
  })
}

type Service = Omit<
  BackendService,
  'kind' | 'id' | 'name' | 'selfLink' | 'creationTimestamp' | 'region'
>

function readService(ctx: Context, body: Json): Service {
  const healthChecks = textsOf(body, 'healthChecks').map((link) => {
    const path = pathOf(link, 'resource.healthChecks')
    if (ctx.state.healthChecks[path]) return linkTo(ctx.project, path)
    throw resourceNotFound(`projects/${ctx.project}/${path}`)
  })
  if (healthChecks.length !== 1) {
    throw invalidField('resource.healthChecks', '', 'Exactly one health check is needed.')
  }
  const service = {
    protocol: textOf(body, 'protocol') ?? 'TCP',
    loadBalancingScheme: textOf(body, 'loadBalancingScheme') ?? 'EXTERNAL',
    sessionAffinity: textOf(body, 'sessionAffinity') ?? 'NONE',
    healthChecks,
    backends: readBackends(ctx, body),
    connectionTrackingPolicy: objectOf(body, 'connectionTrackingPolicy') ?? {},
    connectionDraining: objectOf(body, 'connectionDraining') ?? { drainingTimeoutSec: 0 },
    logConfig: objectOf(body, 'logConfig') ?? { enable: false },
  }
  return { ...service, fingerprint: fingerprintOf(service) }
}

function readBackends(ctx: Context, body: Json): BackendService['backends'] {
  return objectsOf(body, 'backends').map((backend) => {
    const link = needText(backend, 'group')
    const path = pathOf(link, 'resource.backends.group')
    if (!ctx.state.instanceGroupManagers[managerPathOf(link)]) {
      throw resourceNotFound(`projects/${ctx.project}/${path}`)
    }
    return {
      group: linkTo(ctx.project, path),
      balancingMode: textOf(backend, 'balancingMode') ?? 'CONNECTION',
    }
  })
}
