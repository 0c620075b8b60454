// healthChecks, global and regional: insert, get, list, update, patch, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/regionHealthChecks

import type { Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import { invalidField, resourceExists, resourceInUse } from './google-error.ts'
import { needName, numberOf, objectOf, textOf, type Json } from './json.ts'
import { scopeOf } from './links.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import type { HealthCheck } from './state.ts'

/** `changed` is called with the paths of checks that are new, different or gone. */
export function addHealthCheckRoutes(app: Hono, ctx: Context, changed: () => void): void {
  for (const scopeKind of ['regions', 'global'] as const) {
    const type: ResourceType<HealthCheck> = {
      plural: 'healthChecks',
      kind: 'compute#healthCheck',
      scopeKind,
      items: ctx.state.healthChecks,
    }
    addReadRoutes(app, ctx, type)
    app.post(
      patternOf(type),
      changing(ctx, (c, body, requestId) => {
        const scope = scopeOfRequest(ctx, c)
        const path = `${scope}/healthChecks/${needName(body)}`
        if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
        const check = { ...newNamed(ctx, type.kind, path), ...readCheck(body) }
        type.items[path] = check
        changed()
        const start = { scope, type: 'insert', target: path, targetId: check.id }
        return ctx.operations.start({ ...start, requestId })
      }),
    )
    for (const [verb, operation] of [
      ['PUT', 'update'],
      ['PATCH', 'patch'],
    ] as const) {
      app.on(
        verb,
        `${patternOf(type)}/:name`,
        changing(ctx, (c, body, requestId) => {
          const { path, resource } = resourceOfRequest(ctx, type, c)
          const wanted = readCheck(verb === 'PUT' ? body : { ...resource, ...body })
          // Of the kind that it was before nothing stays.
          const { httpHealthCheck: _, tcpHealthCheck: __, ...rest } = resource
          type.items[path] = { ...rest, ...wanted }
          changed()
          const start = { scope: scopeOf(path), type: operation, target: path }
          return ctx.operations.start({ ...start, targetId: resource.id, requestId })
        }),
      )
    }
    app.delete(
      `${patternOf(type)}/:name`,
      changing(ctx, (c, _body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        const user = userOf(ctx, resource.selfLink)
        const full = `projects/${ctx.project}/${path}`
        if (user) throw resourceInUse(full, `projects/${ctx.project}/${user}`)
        delete type.items[path]
        changed()
        const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
        return ctx.operations.start({ ...start, requestId })
      }),
    )
  }
}

function userOf({ state }: Context, link: string): string | undefined {
  const services = { ...state.backendServices, ...state.httpBackendServices }
  const service = Object.entries(services).find(([, one]) => one.healthChecks.includes(link))
  const group = Object.entries(state.instanceGroupManagers).find(([, one]) =>
    one.autoHealingPolicies.some((policy) => policy.healthCheck === link),
  )
  return service?.[0] ?? group?.[0]
}

type Check = Omit<HealthCheck, 'kind' | 'id' | 'name' | 'selfLink' | 'creationTimestamp'>

function readCheck(body: Json): Check {
  const type = textOf(body, 'type') ?? 'TCP'
  const http = objectOf(body, 'httpHealthCheck')
  const tcp = objectOf(body, 'tcpHealthCheck')
  if (type !== 'HTTP' && type !== 'TCP') {
    throw invalidField('resource.type', type, 'The emulator probes by HTTP and TCP.')
  }
  const check: Check = {
    type,
    checkIntervalSec: within(body, 'checkIntervalSec', 5, 1, 300),
    timeoutSec: within(body, 'timeoutSec', 5, 1, 300),
    healthyThreshold: within(body, 'healthyThreshold', 2, 1, 10),
    unhealthyThreshold: within(body, 'unhealthyThreshold', 2, 1, 10),
    logConfig: { enable: objectOf(body, 'logConfig')?.['enable'] === true },
  }
  if (check.timeoutSec > check.checkIntervalSec) {
    throw invalidField(
      'resource.timeoutSec',
      String(check.timeoutSec),
      'Must be less than or equal to checkIntervalSec.',
    )
  }
  // Where there is a port it is the one that is probed.
  const asked = textOf(http ?? tcp ?? {}, 'portSpecification')
  const isServing = asked === 'USE_SERVING_PORT'
  const portSpecification = isServing ? asked : 'USE_FIXED_PORT'
  const port = isServing ? {} : { port: numberOf(http ?? tcp ?? {}, 'port') ?? 80 }
  if (type === 'HTTP') {
    const requestPath = textOf(http ?? {}, 'requestPath') ?? '/'
    check.httpHealthCheck = { ...port, requestPath, portSpecification }
  } else {
    check.tcpHealthCheck = { ...port, portSpecification }
  }
  return check
}

function within(body: Json, field: string, standard: number, min: number, max: number): number {
  const value = numberOf(body, field) ?? standard
  if (value >= min && value <= max) return value
  throw invalidField(
    `resource.${field}`,
    String(value),
    `Must be greater than or equal to ${min} and less than or equal to ${max}.`,
  )
}
