// Kubernetes' conformance tests of the Ingress APIs, on the api function: every operation of both kinds.
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/test/e2e/network/ingress.go
// https://github.com/kubernetes/kubernetes/blob/v1.33.0/test/e2e/network/ingressclass.go

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTestApi, type TestApi } from '#test/api.ts'
import { readWatch } from '#test/watch-reader.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

interface KubeList {
  items: { metadata: { name: string } }[]
  metadata: { resourceVersion: string }
}

async function names(path: string): Promise<string[]> {
  const { body } = await api.call<KubeList>('GET', path)
  return body.items.map(({ metadata }) => metadata.name)
}

const LABELS = { special: 'yes' }
const MERGE = { 'content-type': 'application/merge-patch+json' }

/** Types of the events since a version, with the objects' names. */
async function eventsSince(path: string, version: string, count: number): Promise<string[]> {
  const watch = readWatch(await api.open(`${path}?watch=1&resourceVersion=${version}`))
  const events = await watch.take(count)
  await watch.cancel()
  return events.map(({ type, object }) => `${type} ${object.metadata.name}`)
}

async function discovered(kind: string): Promise<void> {
  const { body: groups } = await api.call<{ groups: { name: string }[] }>('GET', '/apis')
  expect(groups.groups.map(({ name }) => name)).toContain('networking.k8s.io')
  const { body } = await api.call<{ resources: { name: string }[] }>(
    'GET',
    '/apis/networking.k8s.io/v1',
  )
  expect(body.resources.map(({ name }) => name)).toContain(kind)
}

describe('[sig-network] Ingress API', () => {
  test('should support creating Ingress API operations [Conformance]', async () => {
    const path = '/apis/networking.k8s.io/v1/namespaces/default/ingresses'
    const ingress = (name: string) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name, labels: LABELS },
      spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    })
    await discovered('ingresses')
    const { body: before } = await api.call<KubeList>('GET', path)
    for (const name of ['one', 'two', 'three']) {
      expect((await api.call('POST', path, { body: ingress(name) })).status).toBe(201)
    }
    expect((await api.call('GET', `${path}/one`)).body).toMatchObject({ metadata: { name: 'one' } })
    expect(await names(`${path}?labelSelector=special%3Dyes`)).toEqual(['one', 'three', 'two'])
    expect(await names('/apis/networking.k8s.io/v1/ingresses')).toHaveLength(3)
    const patched = await api.call('PATCH', `${path}/one`, {
      headers: MERGE,
      body: { metadata: { annotations: { patched: 'true' } } },
    })
    expect(patched.body).toMatchObject({ metadata: { annotations: { patched: 'true' } } })
    const updated = await api.call('PUT', `${path}/one`, {
      body: {
        ...ingress('one'),
        metadata: { name: 'one', labels: LABELS, annotations: { updated: 'true' } },
      },
    })
    expect(updated.body).toMatchObject({ metadata: { annotations: { updated: 'true' } } })
    const status = { loadBalancer: { ingress: [{ ip: '169.1.1.1' }] } }
    const patchedStatus = await api.call('PATCH', `${path}/one/status`, {
      headers: MERGE,
      body: { status },
    })
    expect(patchedStatus.body).toMatchObject({ status })
    expect((await api.call('GET', `${path}/one/status`)).body).toMatchObject({ status })
    expect((await api.call('DELETE', `${path}/one`)).status).toBe(200)
    expect((await api.call('GET', `${path}/one`)).status).toBe(404)
    expect((await api.call('DELETE', `${path}?labelSelector=special%3Dyes`)).status).toBe(200)
    expect(await names(path)).toEqual([])
    const events = await eventsSince(path, before.metadata.resourceVersion, 9)
    expect(events.slice(0, 3)).toEqual(['ADDED one', 'ADDED two', 'ADDED three'])
    expect(events.slice(3, 7)).toEqual([
      'MODIFIED one',
      'MODIFIED one',
      'MODIFIED one',
      'DELETED one',
    ])
    expect(new Set(events.slice(7))).toEqual(new Set(['DELETED two', 'DELETED three']))
  })
})

describe('[sig-network] IngressClass API', () => {
  test('should support creating IngressClass API operations [Conformance]', async () => {
    const path = '/apis/networking.k8s.io/v1/ingressclasses'
    const ingressClass = (name: string) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name, labels: LABELS },
      spec: { controller: 'example.com/controller' },
    })
    await discovered('ingressclasses')
    const { body: before } = await api.call<KubeList>('GET', path)
    for (const name of ['one', 'two', 'three']) {
      expect((await api.call('POST', path, { body: ingressClass(name) })).status).toBe(201)
    }
    expect((await api.call('GET', `${path}/one`)).body).toMatchObject({ metadata: { name: 'one' } })
    expect(await names(`${path}?labelSelector=special%3Dyes`)).toEqual(['one', 'three', 'two'])
    const patched = await api.call('PATCH', `${path}/one`, {
      headers: MERGE,
      body: { metadata: { annotations: { patched: 'true' } } },
    })
    expect(patched.body).toMatchObject({ metadata: { annotations: { patched: 'true' } } })
    const updated = await api.call('PUT', `${path}/one`, {
      body: {
        ...ingressClass('one'),
        metadata: { name: 'one', labels: LABELS, annotations: { updated: 'true' } },
      },
    })
    expect(updated.body).toMatchObject({ metadata: { annotations: { updated: 'true' } } })
    expect((await api.call('DELETE', `${path}/one`)).status).toBe(200)
    expect((await api.call('GET', `${path}/one`)).status).toBe(404)
    expect((await api.call('DELETE', `${path}?labelSelector=special%3Dyes`)).status).toBe(200)
    expect(await names(`${path}?labelSelector=special%3Dyes`)).toEqual([])
    const events = await eventsSince(path, before.metadata.resourceVersion, 8)
    expect(events.slice(0, 6)).toEqual([
      'ADDED one',
      'ADDED two',
      'ADDED three',
      'MODIFIED one',
      'MODIFIED one',
      'DELETED one',
    ])
    expect(new Set(events.slice(6))).toEqual(new Set(['DELETED two', 'DELETED three']))
  })
})
