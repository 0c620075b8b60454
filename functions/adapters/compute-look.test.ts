// What the sweep asks Compute Engine for, and what it makes of answers that are not whole.

import { PassThroughClient } from 'google-auth-library'
import { Hono } from 'hono'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { serve, type RunningServer } from '#emulator/serve.ts'
import type { VmLook } from '#shared/ports/vm-look.ts'
import { createComputeLook } from './compute-look.ts'

const GROUPS = '/zones/us-east1-c/instanceGroupManagers'

let google: Hono
let server: RunningServer
let look: VmLook

beforeAll(async () => {
  const app = { fetch: (request: Request) => google.fetch(request) }
  server = await serve(app, { host: '127.0.0.1', port: 0 })
  const authClient = new PassThroughClient()
  look = createComputeLook({
    project: 'p',
    label: 'wherry-cluster',
    url: server.url,
    authClient,
    timeoutMs: 5000,
  })
})
afterAll(() => server.close(0))
beforeEach(() => {
  google = new Hono().basePath('/compute/v1/projects/p')
})

const aVm = (id: string, cluster: string, group?: string) => ({
  id,
  status: 'RUNNING',
  labels: { 'wherry-cluster': cluster },
  metadata: {
    items: group ? [{ key: 'created-by', value: `projects/1${GROUPS}/${group}` }] : [],
  },
})

test('all VMs with the label, page by page, with what their groups know of their health', async () => {
  const asked: string[] = []
  google.get('/aggregated/instances', (c) => {
    asked.push(c.req.query('filter') ?? '')
    const isLast = c.req.query('pageToken') === 'more'
    return c.json({
      items: {
        'zones/us-east1-c': { instances: isLast ? [aVm('3', 'b', 'two')] : [aVm('1', 'a', 'one')] },
        'zones/us-east1-b': isLast
          ? { warning: { code: 'NO_RESULTS_ON_PAGE' } }
          : { instances: [{ ...aVm('2', 'a'), status: 'STAGING' }] },
      },
      ...(isLast ? {} : { nextPageToken: 'more' }),
    })
  })
  google.post(`${GROUPS}/one/listManagedInstances`, (c) =>
    c.json({
      managedInstances: [{ id: '1', instanceHealth: [{ detailedHealthState: 'TIMEOUT' }] }],
    }),
  )
  google.post(`${GROUPS}/two/listManagedInstances`, (c) =>
    c.req.query('pageToken')
      ? c.json({
          managedInstances: [{ id: '3', instanceHealth: [{ detailedHealthState: 'HEALTHY' }] }],
        })
      : c.json({ managedInstances: [{ id: '9' }], nextPageToken: 'next' }),
  )
  expect(await look()).toEqual([
    { cluster: 'a', id: '1', status: 'RUNNING', isHealthy: false },
    { cluster: 'a', id: '2', status: 'STAGING', isHealthy: undefined },
    { cluster: 'b', id: '3', status: 'RUNNING', isHealthy: true },
  ])
  expect(asked).toEqual(['labels.wherry-cluster:*', 'labels.wherry-cluster:*'])
})

test('a zone that did not answer is not an empty zone', async () => {
  google.get('/aggregated/instances', (c) =>
    c.json({ items: { 'zones/a': { warning: { code: 'UNREACHABLE', message: 'later' } } } }),
  )
  await expect(look()).rejects.toThrow('zones/a: UNREACHABLE')
})

test('a group that was deleted meanwhile knows nothing, and one that does not answer keeps nobody', async () => {
  google.get('/aggregated/instances', (c) =>
    c.json({ items: { 'zones/a': { instances: [aVm('1', 'a', 'gone')] } } }),
  )
  google.post(`${GROUPS}/gone/listManagedInstances`, (c) => c.json({}, 404))
  expect(await look()).toEqual([{ cluster: 'a', id: '1', status: 'RUNNING', isHealthy: undefined }])
  google = new Hono()
  let asked = 0
  google.get('*', async () => {
    asked++
    await new Promise((resolve) => setTimeout(resolve, 1000))
    return new Response('{}')
  })
  const hasty = createComputeLook({
    project: 'p',
    label: 'wherry-cluster',
    url: server.url,
    authClient: new PassThroughClient(),
    timeoutMs: 50,
  })
  await expect(hasty()).rejects.toThrow()
  expect(asked).toBe(1)
})

test('a list without end, or one that is refused, is no list', async () => {
  google.get('/aggregated/instances', (c) => c.json({ nextPageToken: 'again' }))
  await expect(look()).rejects.toThrow('no end')
  google = new Hono()
  google.get('*', (c) => c.json({ error: { code: 403, message: 'not for you' } }, 403))
  await expect(look()).rejects.toThrow('not for you')
})
