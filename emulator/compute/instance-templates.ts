// instanceTemplates: immutable descriptions of VMs. insert, get, list, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/instanceTemplates

import type { Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import { resourceExists, resourceInUse } from './google-error.ts'
import { readProperties } from './instance-properties.ts'
import { needName, objectOf, textOf } from './json.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import type { InstanceTemplate } from './state.ts'

export function addInstanceTemplateRoutes(app: Hono, ctx: Context): void {
  const type: ResourceType<InstanceTemplate> = {
    plural: 'instanceTemplates',
    kind: 'compute#instanceTemplate',
    scopeKind: 'global',
    items: ctx.state.instanceTemplates,
  }
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (_c, body, requestId) => {
      const path = `global/instanceTemplates/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      const named = newNamed(ctx, type.kind, path)
      type.items[path] = {
        ...named,
        description: textOf(body, 'description') ?? '',
        properties: readProperties(objectOf(body, 'properties') ?? {}),
      }
      const start = { scope: 'global', type: 'insert', target: path, targetId: named.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
  app.delete(
    `${patternOf(type)}/:name`,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const user = userOf(ctx, path)
      const full = `projects/${ctx.project}/${path}`
      if (user) throw resourceInUse(full, `projects/${ctx.project}/${user}`)
      delete type.items[path]
      const start = { scope: 'global', type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
}

/** The group that still needs the template: for its next VM, or to repair one made from it. */
function userOf({ state }: Context, template: string): string | undefined {
  return Object.entries(state.instanceGroupManagers).find(
    ([path, group]) =>
      group.instanceTemplate.endsWith(`/${template}`) ||
      state.groups[path]?.members.some((member) => member.template === template),
  )?.[0]
}
