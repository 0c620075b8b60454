// Resources that are inserted, read and deleted, and of which nothing more is to be known.

import type { Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import { resourceExists, resourceInUse } from './google-error.ts'
import { needName, type Json } from './json.ts'
import { scopeOf } from './links.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import type { Named } from './state.ts'

export interface SimpleResource<T extends Named> {
  /** What the body says. Errors: in Google's words. */
  read: (body: Json, path: string) => Omit<T, keyof Named> & Partial<Named>
  /** The path of something that needs it. */
  userOf: (resource: T) => string | undefined
  /** Brings it into force; the operation is done when that is. */
  changed: () => Promise<void>
}

export function addSimpleRoutes<T extends Named>(
  app: Hono,
  ctx: Context,
  type: ResourceType<T>,
  { read, userOf, changed }: SimpleResource<T>,
): void {
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => {
      const scope = scopeOfRequest(ctx, c)
      const path = `${scope}/${type.plural}/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      const resource = { ...newNamed(ctx, type.kind, path), ...read(body, path) } as T
      type.items[path] = resource
      const start = { scope, type: 'insert', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }),
  )
  app.delete(
    `${patternOf(type)}/:name`,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const user = userOf(resource)
      if (user) {
        throw resourceInUse(`projects/${ctx.project}/${path}`, `projects/${ctx.project}/${user}`)
      }
      delete type.items[path]
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, changed)
    }),
  )
}

/** The path of the first that links to `link`. */
export function linkedBy<T>(
  items: Record<string, T>,
  links: (item: T) => readonly (string | undefined)[],
  link: string,
): string | undefined {
  return Object.entries(items).find(([, item]) => links(item).includes(link))?.[0]
}
