// Long-running operations: every change answers at once with one, and goes on by itself.
// PENDING → RUNNING → DONE, with progress; a failed one is DONE too and says so in `error`.

import type { Hono } from 'hono'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { GoogleError, resourceNotFound } from './google-error.ts'
import { linkTo } from './links.ts'
import { listOf, aggregatedListOf } from './lists.ts'
import { newId, timestamp, type ComputeState, type Operation, type Scope } from './state.ts'

export interface OperationStart {
  scope: Scope
  /** `insert`, `delete`, `compute.instances.repair.recreateInstance` … */
  type: string
  /** Path of the resource it is about. */
  target: string
  targetId?: string
  requestId?: string | undefined
  user?: string
}

/** Runs while the operation is RUNNING. A GoogleError ends it as failed. */
export type Work = (progress: (percent: number) => void) => Promise<void>

export interface Operations {
  /** Records the operation and begins its work. */
  start(start: OperationStart, work?: Work): Operation
  /** The operation that an earlier request with this id began. */
  replay(requestId: string | undefined): Operation | undefined
  /** Operations that a restart interrupted end as done: the loops bring about what they began. */
  finishInterrupted(): void
  /** Resolves when none is under way, for shutdown and tests. */
  idle(): Promise<void>
  routes(app: Hono): void
}

/** The longest that `wait` holds a request, as Google's. */
const WAIT_MAX_MS = 120_000
/** How many finished ones are kept; Google keeps them for some days. */
const KEPT_MAX = 500

const USER = 'wherry@emulator.gserviceaccount.com'

interface Deps {
  project: string
  state: ComputeState
  clock: Clock
  log: Log
  scopes: { zones: string[]; regions: string[] }
  changed(): void
}

export function createOperations(deps: Deps): Operations {
  const { project, state, clock, log } = deps
  const running = new Map<string, Promise<void>>()

  function begin(start: OperationStart): Operation {
    const now = clock.now()
    const id = newId(state, now)
    const name = `operation-${now}-${id.slice(-9)}`
    const path = operationPath(start.scope, name)
    const [kind, place] = start.scope.split('/')
    const operation: Operation = {
      kind: 'compute#operation',
      id,
      name,
      selfLink: linkTo(project, path),
      creationTimestamp: timestamp(now),
      ...(kind === 'zones' && place ? { zone: linkTo(project, start.scope) } : {}),
      ...(kind === 'regions' && place ? { region: linkTo(project, start.scope) } : {}),
      operationType: start.type,
      status: 'PENDING',
      progress: 0,
      targetLink: linkTo(project, start.target),
      ...(start.targetId ? { targetId: start.targetId } : {}),
      user: start.user ?? USER,
      insertTime: timestamp(now),
      ...(start.requestId ? { clientOperationId: start.requestId } : {}),
    }
    state.operations[path] = operation
    forgetOldest(state)
    return operation
  }

  async function run(operation: Operation, work: Work): Promise<void> {
    await clock.sleep(0)
    operation.status = 'RUNNING'
    operation.startTime = timestamp(clock.now())
    try {
      await work((percent) => (operation.progress = percent))
    } catch (error) {
      fail(operation, error, log)
    }
    operation.status = 'DONE'
    operation.progress = 100
    operation.endTime = timestamp(clock.now())
    deps.changed()
  }

  const self: Operations = {
    start(start, work = async () => {}) {
      const operation = begin(start)
      const path = operationPath(start.scope, operation.name)
      // The answer shows it as it was accepted, whatever happens meanwhile.
      const accepted = { ...operation }
      running.set(
        path,
        run(operation, work).finally(() => running.delete(path)),
      )
      return accepted
    },
    replay(requestId) {
      if (!requestId) return undefined
      return Object.values(state.operations).find((one) => one.clientOperationId === requestId)
    },
    finishInterrupted() {
      for (const operation of Object.values(state.operations)) {
        if (operation.status === 'DONE') continue
        Object.assign(operation, { status: 'DONE', progress: 100, endTime: timestamp(clock.now()) })
      }
    },
    async idle() {
      while (running.size > 0) await Promise.all(running.values())
    },
    routes(app) {
      addRoutes(app, deps, (path) => running.get(path))
    },
  }
  return self
}

function addRoutes(
  app: Hono,
  { project, state, clock, scopes }: Deps,
  runningAt: (path: string) => Promise<void> | undefined,
): void {
  const need = (path: string): Operation => {
    const operation = state.operations[path]
    if (operation) return operation
    throw resourceNotFound(`projects/${project}/${path}`)
  }
  for (const pattern of ['/zones/:place', '/regions/:place', '/global']) {
    const scopeName = (place: string | undefined): Scope =>
      place === undefined ? 'global' : `${pattern.split('/')[1]}/${place}`
    app.get(`${pattern}/operations`, (c) => {
      const scope = `${scopeName(c.req.param('place'))}/operations`
      const entries = Object.entries(state.operations).filter(([path]) =>
        path.startsWith(`${scope}/`),
      )
      return c.json(listOf('compute#operationList', project, scope, entries, c.req.query()))
    })
    app.get(`${pattern}/operations/:name`, (c) =>
      c.json(need(operationPath(scopeName(c.req.param('place')), c.req.param('name') ?? ''))),
    )
    app.post(`${pattern}/operations/:name/wait`, async (c) => {
      const path = operationPath(scopeName(c.req.param('place')), c.req.param('name') ?? '')
      need(path)
      const patience = new AbortController()
      const timeout = clock.sleep(WAIT_MAX_MS, AbortSignal.any([patience.signal, c.req.raw.signal]))
      await Promise.race([runningAt(path) ?? Promise.resolve(), timeout])
      patience.abort()
      return c.json(need(path))
    })
  }
  app.get('/aggregated/operations', (c) => {
    const all = [
      'global',
      ...scopes.zones.map((zone) => `zones/${zone}`),
      ...scopes.regions.map((region) => `regions/${region}`),
    ]
    const about = {
      kind: 'compute#operationAggregatedList',
      plural: 'operations',
      project,
      scopes: all,
    }
    return c.json(aggregatedListOf(about, Object.entries(state.operations), c.req.query()))
  })
}

function operationPath(scope: Scope, name: string): string {
  return `${scope}/operations/${name}`
}

function fail(operation: Operation, error: unknown, log: Log): void {
  const failure =
    error instanceof GoogleError ? error : new GoogleError('internalError', 'Internal error.')
  if (failure !== error) log.error('an operation broke', { operation: operation.name, error })
  operation.error = { errors: [{ code: failure.operationCode, message: failure.message }] }
  operation.httpErrorStatusCode = failure.code
  operation.httpErrorMessage = HTTP_MESSAGE[failure.code]
}

const HTTP_MESSAGE = {
  400: 'BAD REQUEST',
  403: 'FORBIDDEN',
  404: 'NOT FOUND',
  409: 'CONFLICT',
  412: 'PRECONDITION FAILED',
  500: 'INTERNAL SERVER ERROR',
  503: 'SERVICE UNAVAILABLE',
} as const

function forgetOldest(state: ComputeState): void {
  const paths = Object.keys(state.operations)
  for (const path of paths.slice(0, Math.max(0, paths.length - KEPT_MAX))) {
    if (state.operations[path]?.status === 'DONE') delete state.operations[path]
  }
}
