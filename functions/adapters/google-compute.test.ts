// What the driver does when Google answers badly: retries under one request id, gives up on slow
// operations, words of errors, zones that do not answer. (That it drives Compute Engine well is shown
// in emulator/compute/google-compute.test.ts.)

import { PassThroughClient } from 'google-auth-library'
import { Hono } from 'hono'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { serve, type RunningServer } from '#emulator/serve.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { operationError, toStatusError } from './compute-errors.ts'
import { createGoogleCompute, type GoogleCompute } from './google-compute.ts'

/** Sleeps at once and counts it as time that has passed. */
function impatientClock(): Clock {
  const clock = createManualClock(0)
  return {
    now: () => clock.now(),
    sleep: (ms, signal) => {
      const slept = clock.sleep(ms, signal)
      void clock.advance(ms)
      return slept
    },
  }
}

let google: Hono
let server: RunningServer
let compute: GoogleCompute
let requests: { method: string; path: string; requestId: string | null }[]

beforeAll(async () => {
  const app = { fetch: (request: Request) => google.fetch(request) }
  server = await serve(app, { host: '127.0.0.1', port: 0 })
  compute = createGoogleCompute({
    project: 'p',
    region: 'r',
    clock: impatientClock(),
    endpoint: { host: '127.0.0.1', port: server.port, protocol: 'http' },
    authClient: new PassThroughClient(),
    operationTimeoutMs: 60_000,
  })
})
afterAll(async () => {
  await compute.close()
  await server.close(0)
})
beforeEach(() => {
  google = new Hono().basePath('/compute/v1/projects/p')
  requests = []
  google.use('*', async (c, next) => {
    const { pathname, searchParams } = new URL(c.req.url)
    requests.push({
      method: c.req.method,
      path: pathname.replace('/compute/v1/projects/p/', ''),
      requestId: searchParams.get('requestId'),
    })
    await next()
  })
})

const failure = (code: number, reason: string, message: string) => ({
  error: { code, message, errors: [{ reason, domain: 'global', message }] },
})
const operation = (status: string, more: object = {}) => ({
  kind: 'compute#operation',
  name: 'op-1',
  status,
  region: 'https://www.googleapis.com/compute/v1/projects/p/regions/r',
  ...more,
})

test('a change that did not arrive is sent again under the same request id', async () => {
  let count = 0
  google.delete('/regions/r/*', (c) =>
    ++count < 3
      ? c.json(failure(503, 'backendError', 'later'), 503)
      : c.json(failure(404, 'notFound', 'gone'), 404),
  )
  await compute.deleteLoadBalancer('lb', 'r')
  const [first, second, third, other] = requests
  expect(first).toMatchObject({ method: 'DELETE', path: 'regions/r/forwardingRules/lb' })
  expect(first?.requestId).toMatch(/^[0-9a-f-]{36}$/)
  expect([second, third]).toEqual([first, first])
  expect(other?.requestId).not.toBe(first?.requestId)
})

test('a Google that stays away is ServiceUnavailable, with a time to come back', async () => {
  google.get('/regions/r', (c) => c.json(failure(503, 'backendError', 'later'), 503))
  const error = await compute.ping().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StatusError)
  expect(error).toMatchObject({
    reason: 'ServiceUnavailable',
    message: 'get region: later',
    details: { retryAfterSeconds: 5 },
  })
  expect(requests).toHaveLength(3)
})

test('an operation that ends with an error is one', async () => {
  google.delete('/regions/r/forwardingRules/lb', (c) => c.json(operation('RUNNING')))
  google.post('/regions/r/operations/op-1/wait', (c) =>
    c.json(operation('DONE', { error: { errors: [{ code: 'QUOTA_EXCEEDED', message: 'No.' }] } })),
  )
  await expect(compute.deleteLoadBalancer('lb', 'r')).rejects.toMatchObject({
    reason: 'Forbidden',
    message: 'delete forwardingRules/lb: QUOTA_EXCEEDED: No.',
  })
})

test('an operation that does not end is a Timeout', async () => {
  const clock = createManualClock(0)
  const slow = createGoogleCompute({
    project: 'p',
    region: 'r',
    clock,
    endpoint: { host: '127.0.0.1', port: server.port, protocol: 'http' },
    authClient: new PassThroughClient(),
    operationTimeoutMs: 60_000,
  })
  google.delete('/regions/r/forwardingRules/lb', (c) => c.json(operation('RUNNING')))
  google.post('/regions/r/operations/op-1/wait', async (c) => {
    await clock.advance(30_000)
    return c.json(operation('RUNNING'))
  })
  await expect(slow.deleteLoadBalancer('lb', 'r')).rejects.toSatisfy((error) =>
    isReason(error, 'Timeout'),
  )
  await slow.close()
})

test('a zone that does not answer is not an empty zone', async () => {
  google.get('/aggregated/instances', (c) =>
    c.json({
      items: {
        'zones/a': { warning: { code: 'NO_RESULTS_ON_PAGE', message: 'none' } },
        'zones/b': { warning: { code: 'UNREACHABLE', message: 'no answer' } },
      },
    }),
  )
  await expect(compute.listInstances({})).rejects.toMatchObject({
    reason: 'ServiceUnavailable',
    message: 'zones/b: UNREACHABLE: no answer',
  })
})

describe('an error', () => {
  const thrown = (code: number, body: object) =>
    Object.assign(new Error(JSON.stringify(body)), { code, config: { headers: 'secret' } })

  test.each([
    { code: 400, google: 'invalid', reason: 'BadRequest' },
    { code: 400, google: 'resourceInUseByAnotherResource', reason: 'Conflict' },
    { code: 400, google: 'resourceNotReady', reason: 'ServiceUnavailable' },
    { code: 401, google: 'authError', reason: 'Unauthorized' },
    { code: 403, google: 'forbidden', reason: 'Forbidden' },
    { code: 403, google: 'quotaExceeded', reason: 'Forbidden' },
    { code: 403, google: 'rateLimitExceeded', reason: 'TooManyRequests' },
    { code: 404, google: 'notFound', reason: 'NotFound' },
    { code: 409, google: 'alreadyExists', reason: 'AlreadyExists' },
    { code: 412, google: 'conditionNotMet', reason: 'Conflict' },
    { code: 500, google: 'internalError', reason: 'ServiceUnavailable' },
  ])('$code $google is $reason', ({ code, google: googleReason, reason }) => {
    const error = toStatusError(thrown(code, failure(code, googleReason, 'Why.')), 'get x')
    expect(error).toMatchObject({ reason, message: 'get x: Why.' })
    expect(error.cause).toBeUndefined()
  })

  test('of the network is ServiceUnavailable', () => {
    const error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    expect(toStatusError(error, 'get x')).toMatchObject({ reason: 'ServiceUnavailable' })
  })

  test.each([
    ['RESOURCE_NOT_FOUND', 'NotFound'],
    ['QUOTA_EXCEEDED', 'Forbidden'],
    ['ZONE_RESOURCE_POOL_EXHAUSTED', 'ServiceUnavailable'],
  ])('of an operation: %s is %s', (code, reason) => {
    expect(operationError(code, 'm', 'insert x')).toMatchObject({
      reason,
      message: `insert x: ${code}: m`,
    })
  })
})
