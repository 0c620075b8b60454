// The GKE API subset that gcloud needs (container/v1, also answered under v1beta1 and v1alpha1), and
// the one call of the Service Usage API that `gcloud container clusters create` makes first.

import { Hono, type Context } from 'hono'
import type { Log } from '#shared/ports/log.ts'
import { isReason } from '#shared/status.ts'
import { CLUSTER_VERSION } from '#shared/version.ts'
import { within } from '#shared/deadline.ts'
import { VIEWERS } from '../api/authorize.ts'
import { readBody as readBytes, textOf } from '../api/body.ts'
import { REFUSED } from '../api/errors.ts'
import type { Authenticate, Identity } from '../api/deps.ts'
import { GoogleError } from './errors.ts'
import { listOperations, readOperation } from './operations.ts'
import {
  createClusterFromBody,
  createNodePool,
  deleteCluster,
  deleteNodePool,
  describeCluster,
  describeNodePool,
  listClustersAt,
  listNodePools,
  setNodePoolSize,
  setResourceLabels,
  updateCluster,
  type GkeDeps,
  type Place,
} from './service.ts'
import type { ClusterBody, NodePoolBody } from './wire.ts'

export interface GkeAppDeps extends GkeDeps {
  authenticate: Authenticate
  log: Log
  /** The only project that is served; another one is answered 403 as Google does. */
  project: string
}

const BODY_BYTES_MAX = 1_000_000
const BODY_MS_MAX = 60_000

/** Makes the app. It answers every failure in Google's form, never with 500 or 501 on purpose. */
export function createGke(deps: GkeAppDeps): Hono {
  const app = new Hono()
  app.use('*', async (c, next) => {
    await authorize(deps, c)
    await next()
  })
  for (const version of ['v1', 'v1beta1', 'v1alpha1'])
    addRoutes(app, deps, `/${version}/projects/:project`)
  app.notFound((c) => c.json(new GoogleError('NOT_FOUND', `Not found: ${c.req.path}.`), 404))
  app.onError((error, c) => {
    if (error instanceof GoogleError) {
      if (error.code === 401 || error.code === 403) {
        deps.log.warn(REFUSED, {
          method: c.req.method,
          path: c.req.path.slice(0, 200),
          code: error.code,
        })
      }
      return c.json(error, error.code)
    }
    if (isReason(error, 'ServiceUnavailable')) {
      return c.json(new GoogleError('UNAVAILABLE', error.message), 503, { 'Retry-After': '1' })
    }
    deps.log.error('the GKE API failed', { error, path: c.req.path })
    return c.json({ error: { code: 500, message: 'Internal error.', status: 'INTERNAL' } }, 500)
  })
  return app
}

function addRoutes(app: Hono, deps: GkeAppDeps, project: string): void {
  app.get(`${project}/services/:service`, (c) =>
    c.json({
      name: `projects/${param(c, 'project')}/services/${param(c, 'service')}`,
      state: 'ENABLED',
    }),
  )
  const at = `${project}/locations/:location`
  app.get(`${at}/serverConfig`, (c) => c.json(SERVER_CONFIG))
  app.get(`${at}/operations`, async (c) =>
    c.json({ operations: await listOperations(deps, param(c, 'project'), param(c, 'location')) }),
  )
  app.get(`${at}/operations/:operation`, async (c) =>
    c.json(await readOperation(deps, param(c, 'project'), param(c, 'operation'))),
  )
  addClusterRoutes(app, deps, `${at}/clusters`)
  addPoolRoutes(app, deps, `${at}/clusters/:cluster/nodePools`)
}

function addClusterRoutes(app: Hono, deps: GkeAppDeps, base: string): void {
  app.get(base, async (c) => {
    const clusters = await listClustersAt(deps, placeOf(c))
    return c.json(clusters.length > 0 ? { clusters } : {})
  })
  app.post(base, async (c) => {
    const body = await readBody<{ cluster?: ClusterBody }>(deps, c)
    if (!body.cluster) throw new GoogleError('INVALID_ARGUMENT', 'Cluster must be specified.')
    return c.json(await createClusterFromBody(deps, placeOf(c), body.cluster))
  })
  app.get(`${base}/:cluster`, async (c) =>
    c.json(await describeCluster(deps, placeOf(c), param(c, 'cluster'))),
  )
  app.put(`${base}/:cluster`, async (c) =>
    c.json(await updateCluster(deps, placeOf(c), param(c, 'cluster'), await readBody(deps, c))),
  )
  app.delete(`${base}/:cluster`, async (c) =>
    c.json(await deleteCluster(deps, placeOf(c), param(c, 'cluster'))),
  )
  app.post(`${base}/:call{[^/]+:setResourceLabels}`, async (c) => {
    const name = param(c, 'call').replace(/:setResourceLabels$/, '')
    return c.json(await setResourceLabels(deps, placeOf(c), name, await readBody(deps, c)))
  })
}

function addPoolRoutes(app: Hono, deps: GkeAppDeps, base: string): void {
  app.get(base, async (c) =>
    c.json({ nodePools: await listNodePools(deps, placeOf(c), param(c, 'cluster')) }),
  )
  app.post(base, async (c) => {
    const body = await readBody<{ nodePool?: NodePoolBody }>(deps, c)
    if (!body.nodePool) throw new GoogleError('INVALID_ARGUMENT', 'Node pool must be specified.')
    return c.json(await createNodePool(deps, placeOf(c), param(c, 'cluster'), body.nodePool))
  })
  app.get(`${base}/:pool`, async (c) =>
    c.json(await describeNodePool(deps, placeOf(c), param(c, 'cluster'), param(c, 'pool'))),
  )
  app.delete(`${base}/:pool`, async (c) =>
    c.json(await deleteNodePool(deps, placeOf(c), param(c, 'cluster'), param(c, 'pool'))),
  )
  app.post(`${base}/:call{[^/]+:setSize}`, async (c) => {
    const pool = param(c, 'call').replace(/:setSize$/, '')
    const { nodeCount } = await readBody<{ nodeCount?: unknown }>(deps, c)
    return c.json(await setNodePoolSize(deps, placeOf(c), param(c, 'cluster'), pool, nodeCount))
  })
}

const SERVER_CONFIG = {
  defaultClusterVersion: CLUSTER_VERSION,
  validMasterVersions: [CLUSTER_VERSION],
  validNodeVersions: [CLUSTER_VERSION],
  defaultImageType: 'COS_CONTAINERD',
  validImageTypes: ['COS_CONTAINERD'],
  channels: ['RAPID', 'REGULAR', 'STABLE'].map((channel) => ({
    channel,
    defaultVersion: CLUSTER_VERSION,
    validVersions: [CLUSTER_VERSION],
  })),
}

async function authorize(deps: GkeAppDeps, c: Context): Promise<void> {
  const token = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1]
  const identity = token ? await deps.authenticate(token) : undefined
  if (!identity) {
    throw new GoogleError(
      'UNAUTHENTICATED',
      'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
    )
  }
  const project = /^\/v1[a-z0-9]*\/projects\/([^/]+)/.exec(c.req.path)?.[1]
  if (!mayCall(identity, c.req.method) || (project !== undefined && project !== deps.project)) {
    throw new GoogleError(
      'PERMISSION_DENIED',
      `Required "container.clusters" permission(s) for "projects/${project ?? ''}".`,
    )
  }
}

/** Who is confined to some clusters (a VM) has no business here. */
function mayCall(identity: Identity, method: string): boolean {
  if (identity.clusters) return false
  if (identity.groups.includes('system:masters')) return true
  return identity.groups.includes(VIEWERS) && (method === 'GET' || method === 'HEAD')
}

function placeOf(c: Context): Place {
  return { project: param(c, 'project'), location: param(c, 'location') }
}

function param(c: Context, name: string): string {
  return c.req.param(name) ?? ''
}

/** Bounded in size and in time: who has a token may not hold the function either. */
async function readText({ clock }: GkeAppDeps, request: Request): Promise<string> {
  try {
    const reading = readBytes(request, BODY_BYTES_MAX)
    return textOf(await within(clock, BODY_MS_MAX, 'the request body', reading))
  } catch (error) {
    if (isReason(error, 'ServiceUnavailable')) {
      throw new GoogleError('DEADLINE_EXCEEDED', 'The request body took too long.', {
        cause: error,
      })
    }
    if (isReason(error, 'RequestEntityTooLarge') || isReason(error, 'BadRequest')) {
      throw new GoogleError('INVALID_ARGUMENT', error.message, { cause: error })
    }
    throw error
  }
}

async function readBody<T extends object>(deps: GkeAppDeps, c: Context): Promise<Partial<T>> {
  const text = await readText(deps, c.req.raw)
  try {
    const body: unknown = text === '' ? {} : JSON.parse(text)
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  } catch (error) {
    throw new GoogleError('INVALID_ARGUMENT', 'Invalid JSON payload received.', { cause: error })
  }
  throw new GoogleError('INVALID_ARGUMENT', 'Invalid JSON payload received: an object is expected.')
}
