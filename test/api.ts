// The api function on memory drivers, for tests that speak HTTP to it without a server.

import { createMemoryBus, type MemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog, type MemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createApi } from '#functions/api/app.ts'
import { createAuthenticator } from '#functions/api/authenticate.ts'
import type { ApiDeps, Identity } from '#functions/api/deps.ts'
import { createLiveViews } from '#functions/cluster/create-live-views.ts'
import type { LiveView, LiveViews } from '#functions/cluster/live-view.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { keyOf } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Store } from '#shared/ports/store.ts'

export const CLUSTER = 'test'
export const ADMIN_TOKEN = 'admin-token'
export const NODE_TOKEN = 'node-token'
export const NOBODY_TOKEN = 'nobody-token'
/** The node that NODE_TOKEN speaks for. */
export const NODE = 'vm-1'

const IDENTITIES: { token: string; identity: Identity }[] = [
  { token: ADMIN_TOKEN, identity: { user: 'admin', groups: ['system:masters'] } },
  {
    token: NODE_TOKEN,
    identity: {
      user: `system:node:${NODE}`,
      groups: ['system:nodes', 'system:authenticated'],
      clusters: [CLUSTER],
      node: { cluster: CLUSTER, name: NODE, instanceId: '4711' },
    },
  },
  { token: NOBODY_TOKEN, identity: { user: 'nobody', groups: ['system:authenticated'] } },
]

export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  text: string
  body: T
}

export interface CallOptions {
  /** A text is sent as it is, anything else as JSON. */
  body?: unknown
  headers?: Record<string, string>
  token?: string | null
}

export interface TestApi {
  clock: ManualClock
  store: Store
  views: LiveViews
  view: LiveView
  bus: MemoryBus
  log: MemoryLog
  app: ReturnType<typeof createApi>
  deps: ApiDeps
  /** One request, its answer read to the end. */
  call<T = Record<string, unknown>>(
    method: string,
    path: string,
    options?: CallOptions,
  ): Promise<Answer<T>>
  /** One request, its answer as it comes. */
  open(path: string, options?: CallOptions): Promise<Response>
  /** Puts objects into the store as they are, past the API. */
  seed(...objects: [resource: string, object: KubeObject][]): Promise<void>
  close(): Promise<void>
}

export interface TestApiOptions extends Partial<
  Pick<ApiDeps, 'probes' | 'agentEndpoint' | 'authenticate' | 'bus'>
> {
  clock?: Clock
  store?: Store
}

/** Metadata as the server would have made it. */
export function seededMeta(name: string, namespace?: string): KubeObject['metadata'] {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: `uid-${namespace ?? ''}-${name}`,
    creationTimestamp: '2026-11-22T11:00:00Z',
  }
}

/** An api with one cluster that has the namespace `default`. It is 2026-11-22T12:00:00Z. */
export async function createTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const clock = createManualClock(Date.parse('2026-11-22T12:00:00Z'))
  const used = options.clock ?? clock
  const store = options.store ?? createMemoryStore({ clock: used })
  const bus = createMemoryBus()
  const log = createMemoryLog()
  const views = createLiveViews({ store, clock: used, log })
  const deps: ApiDeps = {
    views,
    bus: options.bus ?? bus,
    clock: used,
    log,
    authenticate: options.authenticate ?? createAuthenticator({ staticTokens: IDENTITIES }),
    probes: options.probes ?? [],
    route: ({ path }) => ({ cluster: CLUSTER, path }),
    ...(options.agentEndpoint ? { agentEndpoint: options.agentEndpoint } : {}),
  }
  const app = createApi(deps)
  const view = await views.open(CLUSTER)
  const open = async (path: string, callOptions: CallOptions = {}): Promise<Response> =>
    app.request(path, requestOf('GET', callOptions))
  const api: TestApi = {
    clock,
    store,
    views,
    view,
    bus,
    log,
    app,
    deps,
    open,
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
    async call<T>(method: string, path: string, callOptions: CallOptions = {}) {
      const response = await app.request(path, requestOf(method, callOptions))
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      const body = (isJson ? JSON.parse(text) : {}) as T
      return { status: response.status, headers: response.headers, text, body }
    },
    async seed(...objects) {
      await view.commit({
        id: `seed-${view.current.version}`,
        cause: { actor: 'test', verb: 'seed' },
        writes: objects.map(([resource, object]) => ({
          key: keyOf(resource, object.metadata.namespace, object.metadata.name),
          object,
          expect: null,
        })),
      })
    },
    async close() {
      await views.close()
      bus.close()
    },
  }
  if (!view.current.get(keyOf('namespaces', '', 'default'))) {
    await api.seed(['namespaces', namespace('default')])
  }
  return api
}

function namespace(name: string): KubeObject {
  const object = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { ...seededMeta(name), labels: { 'kubernetes.io/metadata.name': name } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }
  return object
}

function requestOf(method: string, { body, headers, token }: CallOptions): RequestInit {
  const bearer = token === undefined ? ADMIN_TOKEN : token
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  return {
    method,
    headers: {
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined || isRaw ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isRaw ? Buffer.from(body) : JSON.stringify(body) }),
  }
}
