import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import type { Bus } from '#shared/ports/bus.ts'
import { StatusError } from '#shared/status.ts'
import { createTestApi, seededMeta, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'

interface Sent {
  metadata: {
    name: string
    resourceVersion: string
    uid: string
    generation?: number
    labels?: Record<string, string>
    deletionTimestamp?: string
    finalizers?: string[]
  }
  data?: Record<string, string>
  message?: string
  reason?: string
  details?: Record<string, unknown>
}

const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  api.call<Sent>(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(headers ? { headers } : {}),
  })

function deployment(replicas = 1, image = 'web:1'): Record<string, unknown> {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: { run: 'web' } },
      template: {
        metadata: { labels: { run: 'web' } },
        spec: { containers: [{ name: 'web', image }] },
      },
    },
  }
}

describe('create', () => {
  it('takes a body without kind and apiVersion, YAML, and none of the server-side metadata', async () => {
    const yaml =
      'metadata: {name: c, uid: mine, generation: 9, creationTimestamp: null}\ndata: {a: "1"}'
    const { status, body } = await call('POST', CONFIG_MAPS, yaml, {
      'content-type': 'application/yaml',
    })
    expect(status).toBe(201)
    expect(body).toMatchObject({ kind: 'ConfigMap', metadata: { namespace: 'default' } })
    expect(body.metadata.uid).not.toBe('mine')
    expect(body.metadata.generation).toBeUndefined()
  })

  it('applies defaults and starts at generation 1', async () => {
    const { body } = await call('POST', DEPLOYMENTS, deployment())
    expect(body).toMatchObject({
      metadata: { generation: 1 },
      spec: { strategy: { type: 'RollingUpdate' }, revisionHistoryLimit: 10 },
    })
    expect(body).not.toHaveProperty('status.replicas')
  })

  it('draws a name, and another one when it is taken', async () => {
    const names = new Set<string>()
    for (let count = 0; count < 20; count++) {
      const { status, body } = await call('POST', CONFIG_MAPS, { metadata: { generateName: 'c-' } })
      expect(status).toBe(201)
      expect(body.metadata.name).toMatch(/^c-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
      names.add(body.metadata.name)
    }
    expect(names.size).toBe(20)
  })

  it.each<[string, string, unknown, number, string]>([
    [
      'what is there',
      CONFIG_MAPS,
      { metadata: { name: 'there' } },
      409,
      'configmaps "there" already exists',
    ],
    [
      'a namespace that is not there',
      '/api/v1/namespaces/none/configmaps',
      { metadata: { name: 'c' } },
      404,
      'namespaces "none" not found',
    ],
    [
      'another namespace than the URL says',
      CONFIG_MAPS,
      { metadata: { name: 'c', namespace: 'other' } },
      400,
      'the namespace of the provided object does not match the namespace sent on the request',
    ],
    [
      'another kind than the URL says',
      CONFIG_MAPS,
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'c' } },
      400,
      'Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion',
    ],
    [
      'another version than the URL says',
      DEPLOYMENTS,
      { ...deployment(), apiVersion: 'apps/v1beta1' },
      400,
      'the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)',
    ],
    [
      'a version before there is one',
      CONFIG_MAPS,
      { metadata: { name: 'c', resourceVersion: '5' } },
      400,
      'resourceVersion should not be set on objects to be created',
    ],
    [
      'a value of the wrong type',
      DEPLOYMENTS,
      { ...deployment(), spec: { replicas: 'three' } },
      400,
      'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      'no object at all',
      CONFIG_MAPS,
      '"text"',
      400,
      "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct",
    ],
  ])('refuses %s', async (_, path, body, status, message) => {
    await call('POST', CONFIG_MAPS, { metadata: { name: 'there' } })
    const answer = await call('POST', path, body)
    expect([answer.status, answer.body.message]).toEqual([status, message])
  })

  it('names every field that is wrong', async () => {
    const { status, body } = await call('POST', CONFIG_MAPS, {
      metadata: { name: 'Wrong_Name', labels: { a: 'no spaces' } },
    })
    expect([status, body.reason]).toEqual([422, 'Invalid'])
    expect(body.message).toMatch(
      /^ConfigMap "Wrong_Name" is invalid: \[metadata\.name: Invalid value: "Wrong_Name": a lowercase RFC 1123 subdomain/,
    )
    expect(body.details).toMatchObject({
      name: 'Wrong_Name',
      kind: 'ConfigMap',
      causes: [{ field: 'metadata.name' }, { field: 'metadata.labels' }],
    })
  })

  it('refuses bodies that are no JSON, too long, or of an unknown type', async () => {
    expect((await call('POST', CONFIG_MAPS, '{')).body.message).toMatch(
      /^couldn't get version\/kind; json parse error: /,
    )
    const long = await call('POST', CONFIG_MAPS, ' '.repeat(3 * 1024 * 1024 + 1))
    expect([long.status, long.body.message]).toEqual([
      413,
      'Request entity too large: limit is 3145728',
    ])
    const cbor = await call('POST', CONFIG_MAPS, 'x', { 'content-type': 'application/cbor' })
    expect([cbor.status, cbor.body.message]).toEqual([
      415,
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ])
  })

  it('stores nothing on a dry run', async () => {
    const { version } = api.view.current
    const { status, body } = await call('POST', `${CONFIG_MAPS}?dryRun=All`, {
      metadata: { name: 'c' },
    })
    expect([status, body.metadata.name]).toEqual([201, 'c'])
    expect((await call('GET', `${CONFIG_MAPS}/c`)).status).toBe(404)
    expect(api.view.current.version).toBe(version)
    const some = await call('POST', `${CONFIG_MAPS}?dryRun=Some`, { metadata: { name: 'c' } })
    expect([some.status, some.body.message]).toEqual([
      400,
      'dryRun: Unsupported value: "Some": supported values: "All"',
    ])
  })
})

describe('field validation', () => {
  const typo = { ...deployment(), spec: { ...Object(deployment()['spec']), replicaz: 3 } }

  it('refuses unknown and duplicate fields when it is strict', async () => {
    const { status, body } = await call('POST', `${DEPLOYMENTS}?fieldValidation=Strict`, typo)
    expect([status, body.message]).toEqual([
      400,
      'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replicaz"',
    ])
    const twice = '{"metadata":{"name":"c"},"data":{"a":"1"},"data":{"a":"2"}}'
    const duplicate = await call('POST', `${CONFIG_MAPS}?fieldValidation=Strict`, twice)
    expect(duplicate.body.message).toContain('duplicate field "data"')
  })

  it('warns otherwise, or says nothing when told so', async () => {
    const warned = await call('POST', `${DEPLOYMENTS}?dryRun=All`, typo)
    expect(warned.status).toBe(201)
    expect(warned.headers.get('warning')).toBe('299 - "unknown field \\"spec.replicaz\\""')
    expect(warned.body).not.toHaveProperty('spec.replicaz')
    const silent = await call('POST', `${DEPLOYMENTS}?dryRun=All&fieldValidation=Ignore`, typo)
    expect([silent.status, silent.headers.get('warning')]).toEqual([201, null])
  })
})

describe('update', () => {
  it('changes what it says, once', async () => {
    const created = await call('POST', DEPLOYMENTS, deployment())
    const path = `${DEPLOYMENTS}/web`
    const updated = await call('PUT', path, deployment(2))
    expect(updated.body.metadata.generation).toBe(2)
    expect(updated.body.metadata.uid).toBe(created.body.metadata.uid)
    const again = await call('PUT', path, deployment(2))
    expect(again.body).toEqual(updated.body)
    const labelled = deployment(2)
    labelled['metadata'] = { name: 'web', labels: { a: 'b' } }
    const third = await call('PUT', path, labelled)
    expect(third.body.metadata).toMatchObject({ generation: 2, labels: { a: 'b' } })
    expect(third.body.metadata.resourceVersion).not.toBe(updated.body.metadata.resourceVersion)
  })

  it('respects the version and the uid that it was computed from', async () => {
    const created = await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    const { resourceVersion, uid } = created.body.metadata
    const put = (metadata: object, data: object) =>
      call('PUT', `${CONFIG_MAPS}/c`, { metadata: { name: 'c', ...metadata }, data })
    expect((await put({ resourceVersion }, { a: '1' })).status).toBe(200)
    const stale = await put({ resourceVersion }, { a: '2' })
    expect([stale.status, stale.body.message]).toEqual([
      409,
      'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again',
    ])
    const other = await put({ uid: 'other' }, { a: '2' })
    expect([other.status, other.body.message]).toEqual([
      409,
      `Operation cannot be fulfilled on configmaps "c": Precondition failed: UID in precondition: other, UID in object meta: ${uid}`,
    ])
  })

  it('is about the object that the URL names', async () => {
    await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    const wrong = await call('PUT', `${CONFIG_MAPS}/c`, { metadata: { name: 'd' } })
    expect([wrong.status, wrong.body.message]).toEqual([
      400,
      'the name of the object (d) does not match the name on the URL (c)',
    ])
    const missing = await call('PUT', `${CONFIG_MAPS}/e`, { metadata: { name: 'e' } })
    expect([missing.status, missing.body.message]).toEqual([404, 'configmaps "e" not found'])
  })

  it('keeps status and spec apart', async () => {
    await call('POST', DEPLOYMENTS, deployment())
    const status = { ...deployment(9), status: { replicas: 1, conditions: [] } }
    const set = await call('PUT', `${DEPLOYMENTS}/web/status`, status)
    expect(set.body).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 1 } })
    expect(set.body.metadata.generation).toBe(1)
    const spec = await call('PUT', `${DEPLOYMENTS}/web`, {
      ...deployment(3),
      status: { replicas: 7 },
    })
    expect(spec.body).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 1 } })
    expect((await call('GET', `${DEPLOYMENTS}/web/status`)).body).toEqual(spec.body)
  })

  it('wins against another writer when it names no version', async () => {
    await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, index) =>
        call('PUT', `${CONFIG_MAPS}/c`, { metadata: { name: 'c' }, data: { a: String(index) } }),
      ),
    )
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200])
  })
})

describe('scale', () => {
  it('shows and changes replicas only', async () => {
    await call('POST', DEPLOYMENTS, deployment(2))
    const { body } = await call('GET', `${DEPLOYMENTS}/web/scale`)
    expect(body).toMatchObject({
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: 'web', namespace: 'default' },
      spec: { replicas: 2 },
      status: { replicas: 0, selector: 'run=web' },
    })
    const patched = await call(
      'PATCH',
      `${DEPLOYMENTS}/web/scale`,
      { spec: { replicas: 5 } },
      { 'content-type': 'application/merge-patch+json' },
    )
    expect(patched.body).toMatchObject({ kind: 'Scale', spec: { replicas: 5 } })
    const put = await call('PUT', `${DEPLOYMENTS}/web/scale`, {
      metadata: { name: 'web' },
      spec: { replicas: 0 },
    })
    expect(put.status).toBe(200)
    const scaled = await call('GET', `${DEPLOYMENTS}/web`)
    expect(scaled.body).toMatchObject({ spec: { replicas: 0 }, metadata: { generation: 3 } })
  })

  it('refuses less than none, and stale versions', async () => {
    await call('POST', DEPLOYMENTS, deployment(2))
    const put = (spec: object, metadata: object = {}) =>
      call('PUT', `${DEPLOYMENTS}/web/scale`, { metadata: { name: 'web', ...metadata }, spec })
    const negative = await put({ replicas: -1 })
    expect([negative.status, negative.body.message]).toEqual([
      422,
      'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ])
    expect((await put({ replicas: 1 }, { resourceVersion: '7' })).status).toBe(409)
  })
})

describe('two faces of one event', () => {
  it('show the same object', async () => {
    const created = await call('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
      metadata: { name: 'e' },
      eventTime: '2026-11-22T11:59:00.000000Z',
      reportingController: 'x.y/z',
      reportingInstance: 'z-1',
      action: 'Pulling',
      reason: 'Pulled',
      regarding: { kind: 'Pod', name: 'p', namespace: 'default' },
      note: 'done',
      type: 'Normal',
    })
    expect([created.status, created.body.message]).toEqual([201, undefined])
    const core = await call('GET', '/api/v1/namespaces/default/events/e')
    expect(core.body).toMatchObject({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { uid: created.body.metadata.uid },
      message: 'done',
      involvedObject: { name: 'p' },
    })
    const modern = await call('GET', '/apis/events.k8s.io/v1/namespaces/default/events/e')
    expect(modern.body).toEqual(created.body)
  })

  it('end an hour after it was last seen', async () => {
    const seen = { involvedObject: {}, lastTimestamp: '2026-11-22T12:00:00Z' }
    const metadata = seededMeta('e', 'default')
    await api.seed(['events', { apiVersion: 'v1', kind: 'Event', metadata, ...seen }])
    const path = '/api/v1/namespaces/default/events'
    await api.clock.advance(3_600_000)
    expect((await call('GET', `${path}/e`)).status).toBe(200)
    await api.clock.advance(1)
    expect((await call('GET', `${path}/e`)).status).toBe(404)
    expect((await call('GET', path)).body).toMatchObject({ items: [] })
  })
})

describe('what a commit tells others', () => {
  it('wakes the cluster, in order', async () => {
    const messages: unknown[] = []
    await api.bus.subscribe('wherry-changes', 'test', async (message) => {
      messages.push(message)
    })
    await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    await call('PUT', `${CONFIG_MAPS}/c`, { metadata: { name: 'c' } })
    await expect
      .poll(() => messages)
      .toEqual([{ attributes: { cluster: 'test' }, data: '{}', orderingKey: 'test' }])
  })

  it('is no reason to fail when it cannot be told', async () => {
    const away: Bus = {
      ...createMemoryBus(),
      publish: () => Promise.reject(new StatusError('ServiceUnavailable', 'the bus is away')),
    }
    const lonely = await createTestApi({ bus: away })
    const { status } = await lonely.call('POST', CONFIG_MAPS, { body: { metadata: { name: 'c' } } })
    expect(status).toBe(201)
    expect(lonely.log.entries).toMatchObject([{ severity: 'WARNING' }])
    await lonely.close()
  })

  it('and never waits long for it', async () => {
    const stuck: Bus = { ...createMemoryBus(), publish: () => new Promise(() => undefined) }
    const slow = await createTestApi({ bus: stuck })
    const answer = slow.call('POST', CONFIG_MAPS, { body: { metadata: { name: 'c' } } })
    await expect.poll(() => slow.view.current.get('configmaps/default/c')).toBeDefined()
    await slow.clock.advance(2000)
    expect((await answer).status).toBe(201)
    await slow.close()
  })
})
