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

describe('server-side apply', () => {
  const APPLY = 'application/apply-patch+yaml'
  const path = `${DEPLOYMENTS}/mine`
  const mine = (spec: object = {}) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'mine' },
    spec: { ...deployment.spec, ...spec },
  })

  const apply = (body: unknown, query = '?fieldManager=me') =>
    api.call<Patched>('PATCH', `${path}${query}`, {
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'content-type': APPLY },
    })

  it('creates, then changes, then changes nothing', async () => {
    const created = await apply(mine({ replicas: 2 }))
    expect([created.status, created.body.message]).toEqual([201, undefined])
    expect(created.body).toMatchObject({
      metadata: { generation: 1, managedFields: [{ manager: 'me', operation: 'Apply' }] },
      spec: { replicas: 2, strategy: { type: 'RollingUpdate' } },
    })
    const { version } = api.view.current
    expect((await apply(mine({ replicas: 2 }))).status).toBe(200)
    expect(api.view.current.version).toBe(version)
    const changed = await apply(mine({ replicas: 3 }))
    expect([changed.status, changed.body.spec.replicas]).toEqual([200, 3])
    expect(changed.body.metadata.generation).toBe(2)
  })

  it('refuses to take what another has, unless it is forced to', async () => {
    await apply(mine({ replicas: 2 }))
    await api.call('PATCH', `${path}/scale?fieldManager=other`, {
      body: '{"spec":{"replicas":7}}',
      headers: { 'content-type': MERGE },
    })
    const refused = await apply(mine({ replicas: 2 }))
    expect([refused.status, refused.body.message]).toEqual([
      409,
      'Apply failed with 1 conflict: conflict with "other" with subresource "scale" using apps/v1: .spec.replicas',
    ])
    const forced = await apply(mine({ replicas: 2 }), '?fieldManager=me&force=true')
    expect(forced.body.spec.replicas).toBe(2)
  })

  it('changes who has what, even when the values stay', async () => {
    await apply(mine({ replicas: 2 }))
    const both = await apply(mine({ replicas: 2 }), '?fieldManager=you')
    const managers = (both.body.metadata as unknown as { managedFields: { manager: string }[] })
      .managedFields
    expect(managers.map(({ manager }) => manager)).toEqual(['me', 'you'])
    const without = await apply(mine())
    expect(without.body.spec.replicas).toBe(2)
    const gone = await apply(mine(), '?fieldManager=you')
    expect(gone.body.spec.replicas).toBe(1)
  })

  it('needs a manager, a known field and a part of what is there', async () => {
    const nobody = await apply(mine(), '')
    expect([nobody.status, nobody.body.message]).toEqual([
      422,
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    ])
    const unknown = await apply(mine({ replicaz: 1 }))
    expect(unknown.status).toBe(400)
    expect(unknown.body.message).toContain('.spec.replicaz: field not declared in schema')
    const force = await patch(MERGE, {}, '?force=true')
    expect([force.status, force.body.message]).toEqual([
      422,
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    ])
    const status = await api.call('PATCH', `${path}/status?fieldManager=me`, {
      body: JSON.stringify({ ...mine(), status: { replicas: 1 } }),
      headers: { 'content-type': APPLY },
    })
    expect(status.status).toBe(404)
  })

  it('reads YAML, and a name from the URL', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\ndata:\n  a: "1"\n'
    const { status, body } = await api.call(
      'PATCH',
      '/api/v1/namespaces/default/configmaps/c?fieldManager=me&dryRun=All',
      { body: yaml, headers: { 'content-type': APPLY } },
    )
    expect([status, body]).toMatchObject([201, { metadata: { name: 'c' }, data: { a: '1' } }])
    const stored = await api.call('GET', '/api/v1/namespaces/default/configmaps/c')
    expect(stored.status).toBe(404)
  })

  it('knows who wrote in the ordinary way', async () => {
    const { body } = await patch(MERGE, { spec: { replicas: 4 } }, '?fieldManager=hand')
    expect(body).toMatchObject({
      metadata: {
        managedFields: [
          { manager: 'hand', operation: 'Update', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
          { manager: 'unknown', operation: 'Update' },
        ],
      },
    })
    const reset = await patch(MERGE, { metadata: { managedFields: [{}] } })
    expect(reset.body).not.toHaveProperty('metadata.managedFields')
  })
})
