// autoscalers: there are none, Wherry decides how large a pool is. gcloud asks before it lists groups.

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { listOf } from './lists.ts'
import { scopeOfRequest } from './resource-routes.ts'

export function addAutoscalerRoutes(app: Hono, ctx: Context): void {
  for (const scopeKind of ['zones', 'regions']) {
    app.get(`/${scopeKind}/:place/autoscalers`, (c) => {
      const path = `${scopeOfRequest(ctx, c)}/autoscalers`
      return c.json(listOf('compute#autoscalerList', ctx.project, path, [], c.req.query()))
    })
  }
}
