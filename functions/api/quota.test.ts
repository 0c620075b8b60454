// ResourceQuota as clients meet it: refused in Kubernetes' words, and never passed by racing.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestApi, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const AT = '/api/v1/namespaces/default'

interface Answer {
  message?: string
  reason?: string
  details?: Record<string, unknown>
  status?: { used?: Record<string, string> }
}

const MERGE = { headers: { 'content-type': 'application/merge-patch+json' } }
const call = (method: string, path: string, body?: unknown) =>
  api.call<Answer>(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(method === 'PATCH' ? MERGE : {}),
  })

const quota = (hard: Record<string, string>): Promise<{ status: number }> =>
  call('POST', `${AT}/resourcequotas`, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'team' },
    spec: { hard },
  })
const config = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
const service = (type: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's' },
  spec: { type, ports: [{ port: 80 }] },
})
const used = async (): Promise<unknown> =>
  (await call('GET', `${AT}/resourcequotas/team`)).body.status?.used

describe('a namespace with a ResourceQuota', () => {
  it('refuses what is too much with Forbidden, also in a dry run', async () => {
    expect((await quota({ configmaps: '1' })).status).toBe(201)
    expect((await call('POST', `${AT}/configmaps`, config('a'))).status).toBe(201)
    for (const path of [`${AT}/configmaps`, `${AT}/configmaps?dryRun=All`]) {
      const { status, body } = await call('POST', path, config('b'))
      expect(status).toBe(403)
      expect(body).toMatchObject({
        reason: 'Forbidden',
        message:
          'configmaps "b" is forbidden: exceeded quota: team, requested: configmaps=1, used: configmaps=1, limited: configmaps=1',
        details: { name: 'b', kind: 'configmaps' },
      })
    }
    expect((await call('PUT', `${AT}/configmaps/a`, config('a'))).status).toBe(200)
  })

  it('lets nobody pass who comes at the same time', async () => {
    await quota({ configmaps: '3' })
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        call('POST', `${AT}/configmaps`, config(`c-${index}`)),
      ),
    )
    const made = answers.filter(({ status }) => status === 201)
    expect(made).toHaveLength(3)
    expect(await used()).toEqual({ configmaps: '3' })
  })

  it('counts what an update adds', async () => {
    await quota({ 'services.loadbalancers': '0', services: '5' })
    expect((await call('POST', `${AT}/services`, service('ClusterIP'))).status).toBe(201)
    const { status, body } = await call('PATCH', `${AT}/services/s`, {
      spec: { type: 'LoadBalancer' },
    })
    expect(status, body.message).toBe(403)
    expect(body.message).toContain(
      'requested: services.loadbalancers=1, used: services.loadbalancers=0',
    )
  })
})
