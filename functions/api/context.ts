// One request as its handler sees it: who asks which cluster for what, and what it may use.

import type { KindDefinition } from '#shared/api/kind.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { negotiate, type Shape } from './accept.ts'
import type { ApiDeps, Identity } from './deps.ts'
import { badRequest } from './errors.ts'
import { includeObjectOf, send, type Rendering } from './render.ts'
import type { ResourceRequest } from './request-info.ts'

export interface ApiContext {
  deps: ApiDeps
  cluster: string
  identity: Identity
  view: LiveView
  /** Headers, body and the signal that the client has left. */
  request: Request
  /** Path as Kubernetes sees it, without a cluster's prefix. */
  path: string
  query: URLSearchParams
  /** Milliseconds since 1970 when the request came. */
  now: number
  /** Sent as Warning headers. */
  warnings: string[]
}

/** A request on a kind of the catalog. */
export interface KindContext extends ApiContext {
  kind: KindDefinition
  info: ResourceRequest
}

/** The shape that the client wants. Error: NotAcceptable. */
export function shapeOf(context: ApiContext): Shape {
  return negotiate(context.request.headers.get('accept'))
}

/** How to render objects of the kind for this client. */
export function renderingOf(context: KindContext): Rendering {
  const { kind, query, now } = context
  return { kind, shape: shapeOf(context), includeObject: includeObjectOf(query), now }
}

/** Sends a body with the request's warnings. */
export function answer(
  context: ApiContext,
  body: unknown,
  options: { status?: number; format?: Shape['format'] } = {},
): Promise<Response> {
  return send(body, {
    ...options,
    warnings: [...new Set(context.warnings)],
    acceptEncoding: context.request.headers.get('accept-encoding'),
  })
}

/** True for dryRun=All. Error: BadRequest for anything else. */
export function isDryRun(values: readonly string[]): boolean {
  for (const value of values) {
    if (value !== 'All') {
      throw badRequest(
        `dryRun: Unsupported value: ${JSON.stringify(value)}: supported values: "All"`,
      )
    }
  }
  return values.length > 0
}
