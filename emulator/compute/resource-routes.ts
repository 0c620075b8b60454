// The routes that most resources share: get, list, aggregated list, and the frame of a change
// (project check, request id, operation). Each resource's file adds what only it can do.

import type { Context as Request, Hono } from 'hono'
import type { Context } from './context.ts'
import { GoogleError, resourceNotFound } from './google-error.ts'
import { isJson, type Json } from './json.ts'
import { aggregatedListOf, listOf } from './lists.ts'
import type { Operation, Named, Scope } from './state.ts'
import { REGIONS, ZONES } from './places.ts'
import { readBody } from './read-body.ts'

const BODY_MAX = 10 * 1024 * 1024

export interface ResourceType<T extends Named> {
  /** `instances`. */
  plural: string
  /** `compute#instance`. */
  kind: string
  scopeKind: 'zones' | 'regions' | 'global'
  items: Record<string, T>
  /** Resources of scope `global` that aggregated lists show beside a region's. */
  global?: Record<string, T | Named>
  /** Google has an aggregated list of it although it is global; gcloud lists it so. */
  isAggregated?: true
  /** How it is shown, when that is more than what is kept. */
  show?(resource: T): object
}

/** The Hono pattern of a resource's collection. */
export function patternOf(type: { scopeKind: string; plural: string }): string {
  return type.scopeKind === 'global'
    ? `/global/${type.plural}`
    : `/${type.scopeKind}/:place/${type.plural}`
}

/** The scope that a request names. Error: notFound for a zone or region that does not exist. */
export function scopeOfRequest(ctx: Context, c: Request): Scope {
  const place = c.req.param('place')
  if (place === undefined) return 'global'
  const isZone = c.req.path.includes(`/zones/${place}/`)
  const scope = isZone ? `zones/${place}` : `regions/${place}`
  const isKnown = isZone ? ZONES.includes(place) : REGIONS.includes(place)
  if (!isKnown) throw resourceNotFound(`projects/${ctx.project}/${scope}`)
  return scope
}

/** The resource a request names. Error: notFound. */
export function resourceOfRequest<T extends Named>(
  ctx: Context,
  type: ResourceType<T>,
  c: Request,
): { path: string; resource: T } {
  const path = `${scopeOfRequest(ctx, c)}/${type.plural}/${c.req.param('name')}`
  return { path, resource: needResource(ctx, type, path) }
}

export function needResource<T extends Named>(
  ctx: Context,
  type: ResourceType<T>,
  path: string,
): T {
  const resource = type.items[path]
  if (resource) return resource
  throw resourceNotFound(`projects/${ctx.project}/${path}`)
}

/** get, list and aggregated list. */
export function addReadRoutes<T extends Named>(
  app: Hono,
  ctx: Context,
  type: ResourceType<T>,
): void {
  const show = (resource: T): object => type.show?.(resource) ?? resource
  const pattern = patternOf(type)
  app.get(pattern, (c) => {
    const path = `${scopeOfRequest(ctx, c)}/${type.plural}`
    const entries = Object.entries(type.items)
      .filter(([key]) => key.startsWith(`${path}/`))
      .map(([key, resource]): [string, object] => [key, show(resource)])
    return c.json(listOf(`${type.kind}List`, ctx.project, path, entries, c.req.query()))
  })
  app.get(`${pattern}/:name`, (c) => c.json(show(resourceOfRequest(ctx, type, c).resource)))
  if (type.scopeKind === 'global' && !type.isAggregated) return
  app.get(`/aggregated/${type.plural}`, (c) => {
    const kinds = type.scopeKind === 'zones' ? ZONES : REGIONS
    const places = type.scopeKind === 'global' ? [] : kinds
    const about = {
      kind: `${type.kind}AggregatedList`,
      plural: type.plural,
      project: ctx.project,
      scopes: [
        ...(type.scopeKind === 'zones' ? [] : ['global']),
        ...places.map((place) => `${type.scopeKind}/${place}`),
      ],
    }
    const entries = Object.entries(type.items).map(([key, resource]): [string, object] => [
      key,
      show(resource),
    ])
    const global = Object.entries(type.global ?? {})
    return c.json(aggregatedListOf(about, [...entries, ...global], c.req.query()))
  })
}

/**
 * A handler of a changing request: a request id that was seen before answers with the operation it
 * began then, and changes nothing.
 */
export function changing(
  ctx: Context,
  change: (c: Request, body: Json, requestId: string | undefined) => Operation | Promise<Operation>,
): (c: Request) => Promise<Response> {
  return async (c) => {
    const requestId = c.req.query('requestId') || undefined
    const before = ctx.operations.replay(requestId)
    if (before) return c.json(before)
    const operation = await change(c, await bodyOf(c), requestId)
    ctx.changed()
    return c.json(operation)
  }
}

async function bodyOf(c: Request): Promise<Json> {
  const text = await readBody(c.req.raw, BODY_MAX)
  if (text === undefined) {
    throw new GoogleError('invalid', 'Request payload size exceeds the limit.')
  }
  if (!text) return {}
  try {
    const body: unknown = JSON.parse(text)
    if (isJson(body)) return body
    // Google's client sends an empty JSON text where there is no body.
    if (body === '') return {}
  } catch {
    // Answered below, in Google's words.
  }
  throw new GoogleError('invalid', 'Invalid JSON payload received.')
}

/** Optimistic locking: the fingerprint that the client read must be the current one. */
export function checkFingerprint(resource: { fingerprint?: string }, body: Json): void {
  if (body['fingerprint'] === undefined || body['fingerprint'] === resource.fingerprint) return
  throw new GoogleError(
    'conditionNotMet',
    'Supplied fingerprint does not match current metadata fingerprint.',
  )
}
