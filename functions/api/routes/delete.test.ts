import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestApi, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const PODS = '/api/v1/namespaces/default/pods'

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

function pod(over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'a', image: 'x' }], ...over },
  }
}

describe('delete', () => {
  it('answers a Status when the object goes at once', async () => {
    const created = await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    const { status, body } = await call('DELETE', `${CONFIG_MAPS}/c`)
    expect(status).toBe(200)
    expect(body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name: 'c', kind: 'configmaps', uid: created.body.metadata.uid },
    })
    const again = await call('DELETE', `${CONFIG_MAPS}/c`)
    expect([again.status, again.body.message]).toEqual([404, 'configmaps "c" not found'])
  })

  it('reads its options from the body and from the query', async () => {
    await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    const byBody = await call('DELETE', `${CONFIG_MAPS}/c`, { propagationPolicy: 'Foreground' })
    expect(byBody.body.metadata).toMatchObject({
      finalizers: ['foregroundDeletion'],
      deletionTimestamp: '2026-11-22T12:00:00Z',
    })
    await call('POST', CONFIG_MAPS, { metadata: { name: 'd' } })
    const byQuery = await call('DELETE', `${CONFIG_MAPS}/d?propagationPolicy=Orphan`)
    expect(byQuery.body.metadata.finalizers).toEqual(['orphan'])
    const dry = await call('DELETE', `${CONFIG_MAPS}/d`, { dryRun: ['All'] })
    expect(dry.status).toBe(200)
    expect((await call('GET', `${CONFIG_MAPS}/d`)).status).toBe(200)
  })

  it('is finished by who takes the last finalizer away', async () => {
    await call('POST', CONFIG_MAPS, { metadata: { name: 'c', finalizers: ['a.b/c'] } })
    await call('DELETE', `${CONFIG_MAPS}/c`)
    const clash = await call('POST', CONFIG_MAPS, { metadata: { name: 'c' } })
    expect(clash.body.message).toBe('object is being deleted: configmaps "c" already exists')
    const added = await call('PUT', `${CONFIG_MAPS}/c`, {
      metadata: { name: 'c', finalizers: ['a.b/c', 'd.e/f'] },
    })
    expect(added.body.message).toContain('no new finalizers can be added')
    expect((await call('PUT', `${CONFIG_MAPS}/c`, { metadata: { name: 'c' } })).status).toBe(200)
    expect((await call('GET', `${CONFIG_MAPS}/c`)).status).toBe(404)
  })

  it('gives a bound pod its grace, and force takes it', async () => {
    await call('POST', PODS, pod({ nodeName: 'n' }))
    const polite = await call('DELETE', `${PODS}/p`)
    expect(polite.body.metadata.deletionTimestamp).toBe('2026-11-22T12:00:30Z')
    expect((await call('GET', `${PODS}/p`)).status).toBe(200)
    const forced = await call('DELETE', `${PODS}/p?gracePeriodSeconds=0`)
    expect(forced.body).toMatchObject({ kind: 'Pod' })
    expect((await call('GET', `${PODS}/p`)).status).toBe(404)
  })

  it('of a namespace lets nothing new begin in it, until it is finalized', async () => {
    await call('POST', '/api/v1/namespaces', { metadata: { name: 'a' } })
    const ending = await call('DELETE', '/api/v1/namespaces/a')
    expect(ending.body).toMatchObject({ kind: 'Namespace', status: { phase: 'Terminating' } })
    const late = await call('POST', '/api/v1/namespaces/a/configmaps', { metadata: { name: 'c' } })
    expect([late.status, late.body.message]).toEqual([
      403,
      'configmaps "c" is forbidden: unable to create new content in namespace a because it is being terminated',
    ])
    expect(late.body.details).toMatchObject({ causes: [{ reason: 'NamespaceTerminating' }] })
    const finalized = await call('PUT', '/api/v1/namespaces/a/finalize', {
      metadata: { name: 'a' },
      spec: { finalizers: [] },
    })
    expect(finalized.status).toBe(200)
    expect((await call('GET', '/api/v1/namespaces/a')).status).toBe(404)
    const immortal = await call('DELETE', '/api/v1/namespaces/default')
    expect(immortal.body.message).toBe(
      'namespaces "default" is forbidden: this namespace may not be deleted',
    )
  })

  it('of a collection takes what is selected', async () => {
    for (const [name, run] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'x'],
    ] as const) {
      await call('POST', CONFIG_MAPS, { metadata: { name, labels: { run } } })
    }
    const { version } = api.view.current
    const deleted = await api.call<{ kind: string; items: Sent[] }>(
      'DELETE',
      `${CONFIG_MAPS}?labelSelector=run%3Dx`,
    )
    expect(deleted.body.kind).toBe('ConfigMapList')
    expect(deleted.body.items.map((item) => item.metadata.name)).toEqual(['a', 'c'])
    const left = await api.call<{ items: Sent[] }>('GET', CONFIG_MAPS)
    expect(left.body.items.map((item) => item.metadata.name)).toEqual(['b'])
    expect(await api.view.history(version)).toHaveLength(1)
  })
})

describe('pods', () => {
  it('are bound once', async () => {
    await call('POST', PODS, pod())
    const binding = { target: { kind: 'Node', name: 'n' } }
    const bound = await call('POST', `${PODS}/p/binding`, binding)
    expect(bound.status).toBe(201)
    expect(bound.body).toMatchObject({ kind: 'Status', status: 'Success' })
    expect((await call('GET', `${PODS}/p`)).body).toMatchObject({
      spec: { nodeName: 'n' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    })
    const again = await call('POST', `${PODS}/p/binding`, binding)
    expect([again.status, again.body.message]).toEqual([
      409,
      'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"',
    ])
  })

  it('stream only over upgraded connections', async () => {
    await call('POST', PODS, pod())
    for (const what of ['exec', 'attach', 'portforward']) {
      const { status, body } = await call('POST', `${PODS}/p/${what}?command=ls`)
      expect([what, status, body.message]).toEqual([what, 400, 'Upgrade request required'])
    }
  })

  it('are evicted as they are deleted', async () => {
    await call('POST', PODS, pod({ nodeName: 'n' }))
    const evicted = await call('POST', `${PODS}/p/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'p', namespace: 'default' },
      deleteOptions: { gracePeriodSeconds: 3 },
    })
    expect([evicted.status, evicted.body]).toMatchObject([201, { status: 'Success' }])
    const left = await call('GET', `${PODS}/p`)
    expect(left.body.metadata.deletionTimestamp).toBe('2026-11-22T12:00:03Z')
  })
})
