// The api function: one Hono app that is the Kubernetes API. Every request passes here: which
// cluster, who asks, what for; whatever goes wrong leaves as a Status, and nothing hangs.

import { Hono } from 'hono'
import { StatusError } from '#shared/status.ts'
import { mayReadPath, pathDenied } from './authorize.ts'
import { answer, type ApiContext } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { createDiscovery } from './discovery.ts'
import { errorResponse, methodNotAllowed, unknownPath } from './errors.ts'
import { identify, impersonationOf } from './identify.ts'
import { createOpenApi } from './openapi/openapi.ts'
import { agentRoute } from './routes/agent.ts'
import { DISCOVERED, resourceRoute } from './routes/resources.ts'
import { health, isHealthPath, versionInfo } from './routes/server.ts'

/** What has not answered by then answers 504 (streams have begun long before). */
const DEADLINE_MS = 60_000

/** The app. It starts nothing: a request is all that makes it work. */
export function createApi(deps: ApiDeps): Hono {
  const discovery = createDiscovery(DISCOVERED)
  const openApi = createOpenApi(DISCOVERED)
  const app = new Hono()

  const handle = async (request: Request): Promise<Response> => {
    const url = new URL(request.url)
    const host = request.headers.get('host') ?? url.host
    const whole = { host, path: url.pathname }
    if (isHealthPath(deps.route(whole)?.path ?? url.pathname)) return health()
    const authorization = request.headers.get('authorization')
    const { cluster, path, identity } = await identify(deps, {
      ...whole,
      authorization,
      impersonate: impersonationOf((name) => request.headers.get(name)),
    })
    const view = await deps.views.open(cluster)
    const context: ApiContext = {
      deps,
      cluster,
      identity,
      view,
      request,
      path,
      query: url.searchParams,
      now: deps.clock.now(),
      warnings: [],
    }
    return respond(context)
  }

  const respond = async (context: ApiContext): Promise<Response> => {
    const fromAgent = await agentRoute(context)
    if (fromAgent) return fromAgent
    const { path, query, request, identity } = context
    const resource = await resourceRoute(context)
    if (resource) return resource
    if (!mayReadPath(identity, path)) throw pathDenied(identity, request.method.toLowerCase(), path)
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const document =
      discovery.respond(path, request.headers) ??
      (await openApi.respond({ path, query }, request.headers)) ??
      (/^\/version\/?$/.test(path) ? await answer(context, versionInfo()) : undefined)
    if (document && !isRead) throw methodNotAllowed()
    if (document) return compressed(document, request)
    throw unknownPath()
  }

  app.all('*', async (c) => {
    const { raw } = c.req
    try {
      return await withDeadline(deps, handle(raw))
    } catch (error) {
      const { pathname } = new URL(raw.url)
      return errorResponse(error, deps.log, { method: raw.method, path: pathname })
    }
  })
  return app
}

/** OpenAPI and discovery are long, and alike for everybody. */
function compressed(response: Response, request: Request): Response {
  const mayCompress = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  if (!mayCompress || !response.body) return response
  const headers = new Headers(response.headers)
  headers.set('content-encoding', 'gzip')
  headers.delete('content-length')
  headers.append('vary', 'accept-encoding')
  const body = response.body.pipeThrough(new CompressionStream('gzip'))
  return new Response(body, { status: response.status, headers })
}

async function withDeadline(deps: ApiDeps, work: Promise<Response>): Promise<Response> {
  const done = new AbortController()
  const late = async (): Promise<never> => {
    await deps.clock.sleep(DEADLINE_MS, done.signal)
    throw new StatusError(
      'Timeout',
      `Timeout: request did not complete within ${DEADLINE_MS / 1000}s`,
      { retryAfterSeconds: 1 },
    )
  }
  try {
    return await Promise.race([work, late()])
  } finally {
    done.abort()
  }
}
