import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { Store } from '#shared/ports/store.ts'
import { createTestApi, NOBODY_TOKEN, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

describe('who may come in', () => {
  it('answers nothing without a token but health checks', async () => {
    for (const path of ['/api', '/apis', '/version', CONFIG_MAPS, '/metrics', '/nowhere']) {
      const { status, body } = await api.call('GET', path, { token: null })
      expect([path, status]).toEqual([path, 401])
      expect(body).toEqual({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'Unauthorized',
        reason: 'Unauthorized',
        code: 401,
      })
    }
    for (const path of ['/healthz', '/livez', '/readyz', '/readyz/ping']) {
      const { status, text } = await api.call('GET', path, { token: null })
      expect([path, status, text]).toEqual([path, 200, 'ok'])
    }
    expect((await api.call('GET', '/version', { token: 'wrong' })).status).toBe(401)
  })

  it('acts as somebody else for administrators, with what that one may do', async () => {
    const as = (user: string, group?: string): Record<string, string> => ({
      'impersonate-user': user,
      ...(group ? { 'impersonate-group': group } : {}),
    })
    const jane = await api.call('GET', CONFIG_MAPS, { headers: as('jane') })
    expect(jane.status).toBe(403)
    expect(jane.body['message']).toContain('User "jane" cannot list resource "configmaps"')
    const root = await api.call('GET', CONFIG_MAPS, { headers: as('jane', 'system:masters') })
    expect(root.status).toBe(200)
    const denied = await api.call('GET', CONFIG_MAPS, { token: NOBODY_TOKEN, headers: as('admin') })
    expect(denied.status).toBe(403)
    expect(denied.body['message']).toContain('cannot impersonate resource "users"')
    const node = await api.call('GET', CONFIG_MAPS, {
      headers: as('system:node:vm-1', 'system:nodes'),
    })
    expect(node.status).toBe(403)
  })

  it('says who may not do what', async () => {
    const { status, body } = await api.call('GET', '/api/v1/pods', { token: NOBODY_TOKEN })
    expect(status).toBe(403)
    expect(body['message']).toBe(
      'pods is forbidden: User "nobody" cannot list resource "pods" in API group "" at the cluster scope',
    )
    expect((await api.call('GET', '/api', { token: NOBODY_TOKEN })).status).toBe(200)
    const metrics = await api.call('GET', '/metrics', { token: NOBODY_TOKEN })
    expect(metrics.body['message']).toBe('forbidden: User "nobody" cannot get path "/metrics"')
  })
})

describe('paths', () => {
  it.each([
    '/nowhere',
    '/api/v2',
    '/apis/none',
    '/api/v1/widgets',
    '/api/v1/namespaces/default/nodes',
  ])('%s is not there', async (path) => {
    const { status, body } = await api.call('GET', path)
    expect(status).toBe(404)
    expect(body['message']).toBe('the server could not find the requested resource')
    // kubectl debug ends with a panic where a 404 has none.
    expect(body['details']).toEqual({})
  })

  it('refuses methods that a resource does not have', async () => {
    expect((await api.call('POST', '/api/v1/componentstatuses', { body: {} })).status).toBe(405)
    expect((await api.call('OPTIONS', '/api/v1/pods')).status).toBe(405)
    expect((await api.call('PUT', '/version')).status).toBe(405)
  })

  it('tells its version', async () => {
    const { body } = await api.call('GET', '/version?timeout=32s')
    expect(body).toMatchObject({ major: '1', minor: '33' })
    expect(body['gitVersion']).toMatch(/^v1\.33\.\d+/)
  })
})

describe('create and get', () => {
  it('answers what it stored', async () => {
    const created = await api.call('POST', CONFIG_MAPS, {
      body: { metadata: { name: 'c' }, data: { a: '1' } },
    })
    expect(created.status).toBe(201)
    expect(created.body).toMatchObject({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c', namespace: 'default', creationTimestamp: '2026-11-22T12:00:00Z' },
      data: { a: '1' },
    })
    const got = await api.call('GET', `${CONFIG_MAPS}/c`)
    expect(got.body).toEqual(created.body)
  })
})

describe('when something is wrong behind it', () => {
  it('a store that does not answer is a 503 that says when to come back', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ clock })
    let isFrozen = false
    const freezing: Store = new Proxy(store, {
      get: (target, name: keyof Store) =>
        isFrozen ? () => new Promise(() => undefined) : target[name].bind(target),
    })
    const own = await createTestApi({ clock, store: freezing })
    isFrozen = true
    const asked = own.call('GET', CONFIG_MAPS)
    const written = own.call('POST', CONFIG_MAPS, { body: { metadata: { name: 'c' } } })
    await clock.advance(30_000)
    for (const { status, body, headers } of [await asked, await written]) {
      expect([status, body['kind'], body['reason']]).toEqual([503, 'Status', 'ServiceUnavailable'])
      expect(headers.get('retry-after')).toBe('1')
    }
    await own.close()
  })

  it('nobody waits longer than a minute', async () => {
    const own = await createTestApi({ authenticate: () => new Promise(() => undefined) })
    const asked = own.call('GET', '/version')
    await own.clock.advance(60_000)
    const { status, body } = await asked
    expect([status, body['message']]).toEqual([504, 'Timeout: request did not complete within 60s'])
    await own.close()
  })

  it('a bug is logged, and its details are told to nobody', async () => {
    const own = await createTestApi({
      authenticate: () => Promise.reject(new Error('the secret is 42')),
    })
    const { status, body, text } = await own.call('GET', '/version')
    expect([status, body['reason']]).toEqual([500, 'InternalError'])
    expect(text).not.toContain('42')
    expect(own.log.entries).toMatchObject([
      { severity: 'ERROR', fields: { method: 'GET', path: '/version' } },
    ])
    await own.close()
  })
})
