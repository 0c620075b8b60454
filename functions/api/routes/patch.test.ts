import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestApi, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
  const created = await api.call('POST', DEPLOYMENTS, { body: deployment })
  expect(created.status).toBe(201)
})
afterEach(() => api.close())

const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const STRATEGIC = 'application/strategic-merge-patch+json'
const MERGE = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

const deployment = {
  metadata: { name: 'web' },
  spec: {
    selector: { matchLabels: { run: 'web' } },
    template: {
      metadata: { labels: { run: 'web' } },
      spec: {
        containers: [
          { name: 'web', image: 'web:1', env: [{ name: 'A', value: '1' }] },
          { name: 'side', image: 'side:1' },
        ],
      },
    },
  },
}

interface Patched {
  metadata: { generation: number; resourceVersion: string; labels?: Record<string, string> }
  spec: {
    replicas: number
    template: { spec: { containers: { name: string; image: string; env?: unknown }[] } }
  }
  message: string
  details: { causes: { message: string }[] }
}

const patch = (type: string, body: unknown, query = '') =>
  api.call<Patched>('PATCH', `${DEPLOYMENTS}/web${query}`, {
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': type },
  })

const spec = (containers: unknown[]): unknown => ({ spec: { template: { spec: { containers } } } })

describe('patches', () => {
  it('merge lists by their key when they are strategic', async () => {
    const { status, body } = await patch(STRATEGIC, spec([{ name: 'side', image: 'side:2' }]))
    expect(status).toBe(200)
    expect(body.metadata.generation).toBe(2)
    expect(body.spec.template.spec.containers.map(({ image }) => image).sort()).toEqual([
      'side:2',
      'web:1',
    ])
  })

  it('replace lists when they are merge patches', async () => {
    const { body } = await patch(MERGE, spec([{ name: 'only', image: 'only:1' }]))
    expect(body.spec.template.spec.containers).toMatchObject([{ name: 'only' }])
  })

  it('are operations when they are JSON patches', async () => {
    const { body } = await patch(JSON_PATCH, [
      { op: 'test', path: '/spec/replicas', value: 1 },
      { op: 'replace', path: '/spec/replicas', value: 4 },
      { op: 'add', path: '/metadata/labels', value: { a: 'b' } },
    ])
    expect(body).toMatchObject({ spec: { replicas: 4 }, metadata: { labels: { a: 'b' } } })
    const failed = await patch(JSON_PATCH, [{ op: 'test', path: '/spec/replicas', value: 9 }])
    expect([failed.status, failed.body.message]).toEqual([
      422,
      'the server rejected our request due to an error in our request',
    ])
  })

  it('that change nothing are no commit', async () => {
    const { version } = api.view.current
    const { status, body } = await patch(STRATEGIC, {
      metadata: { creationTimestamp: null },
      spec: { replicas: 1, template: { spec: { securityContext: {} } } },
    })
    expect([status, body.metadata.generation]).toEqual([200, 1])
    expect(api.view.current.version).toBe(version)
  })

  it('do not touch the status, nor status patches the spec', async () => {
    const mixed = { spec: { replicas: 3 }, status: { replicas: 2 } }
    expect((await patch(MERGE, mixed)).body).not.toHaveProperty('status.replicas')
    const status = await api.call('PATCH', `${DEPLOYMENTS}/web/status`, {
      body: JSON.stringify({ spec: { replicas: 9 }, status: { replicas: 2 } }),
      headers: { 'content-type': MERGE },
    })
    expect(status.body).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 2 } })
  })

  it('are tried again when another writer was faster, unless they name a version', async () => {
    const labels = Array.from({ length: 5 }, (_, index) => ({
      metadata: { labels: { [`l${index}`]: 'x' } },
    }))
    const answers = await Promise.all(labels.map((each) => patch(MERGE, each)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    const { body } = await patch(MERGE, {})
    expect(Object.keys(body.metadata.labels ?? {})).toHaveLength(5)
    const stale = await patch(MERGE, { metadata: { resourceVersion: '7', labels: { a: 'b' } } })
    expect([stale.status, stale.body.message]).toEqual([
      409,
      'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply your changes to the latest version and try again',
    ])
  })

  it('are checked as whole objects are', async () => {
    const unknown = await patch(MERGE, { spec: { replicaz: 1 } }, '?fieldValidation=Strict')
    expect([unknown.status, unknown.body.message]).toEqual([
      400,
      'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replicaz"',
    ])
    const invalid = await patch(MERGE, { spec: { replicas: -1 } })
    expect([invalid.status, invalid.body.message]).toEqual([
      422,
      'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ])
    const renamed = await patch(MERGE, { metadata: { name: 'other' } })
    expect([renamed.status, renamed.body.message]).toEqual([
      400,
      'the name of the object (other) does not match the name on the URL (web)',
    ])
    const another = await patch(MERGE, { kind: 'Pod' })
    expect(another.status).toBe(400)
  })

  it('are stored nowhere on a dry run', async () => {
    const { body } = await patch(MERGE, { spec: { replicas: 9 } }, '?dryRun=All')
    expect(body.spec.replicas).toBe(9)
    const { body: stored } = await api.call<Patched>('GET', `${DEPLOYMENTS}/web`)
    expect(stored.spec.replicas).toBe(1)
  })

  it('come in known languages only, and are about what is there', async () => {
    const unknown = await patch('application/json', {})
    expect([unknown.status, unknown.body.message]).toEqual([
      415,
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
    ])
    const missing = await api.call('PATCH', `${DEPLOYMENTS}/none`, {
      body: '{}',
      headers: { 'content-type': MERGE },
    })
    expect(missing.body['message']).toBe('deployments.apps "none" not found')
  })
})
