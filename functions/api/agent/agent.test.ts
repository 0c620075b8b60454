import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DesiredState, NodeReport, ReportAnswer } from '#shared/api/agent-wire.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { INSTANCE_ID_ANNOTATION, type Node } from '#shared/api/node.ts'
import type { Pod, PodSpec, PodStatus } from '#shared/api/pod.ts'
import {
  ADMIN_TOKEN,
  createTestApi,
  NODE,
  NODE_TOKEN,
  seededMeta,
  type TestApi,
} from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const path = (what: string, node = NODE): string =>
  `/apis/agent.wherry.dev/v1/nodes/${node}/${what}`

function pod(name: string, spec: Partial<PodSpec> = {}, status: PodStatus = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: seededMeta(name, 'default'),
    spec: { nodeName: NODE, containers: [{ name: 'a', image: 'x' }], ...spec },
    status: { phase: 'Pending', ...status },
  }
}

function plain(kind: string, name: string): KubeObject {
  return { apiVersion: 'v1', kind, metadata: seededMeta(name, 'default') }
}

async function report(news: NodeReport): Promise<ReportAnswer> {
  const answer = await api.call<ReportAnswer>('POST', path('report'), {
    body: news,
    token: NODE_TOKEN,
  })
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

const aboutPod = (name: string, status: PodStatus, more: object = {}): NodeReport => ({
  pods: [{ namespace: 'default', name, uid: `uid-default-${name}`, status, ...more }],
})

const stored = (resource: string, name: string, namespace = 'default') =>
  api.view.current.get(`${resource}/${namespace}/${name}`)

describe('who may', () => {
  it.each([
    ['another node', NODE_TOKEN, path('desired', 'vm-2')],
    ['an administrator', ADMIN_TOKEN, path('desired')],
  ])('not %s', async (_, token, url) => {
    const { status, body } = await api.call('GET', url, { token })
    expect([status, body['reason']]).toEqual([403, 'Forbidden'])
  })

  it('not do anything but that', async () => {
    const ask = (method: string, url: string) =>
      api.call(method, url, { token: NODE_TOKEN, ...(method === 'POST' ? { body: {} } : {}) })
    expect((await ask('POST', path('desired'))).status).toBe(405)
    expect((await ask('GET', path('report'))).status).toBe(405)
    expect((await ask('GET', path('other'))).status).toBe(404)
    expect((await ask('GET', '/api/v1/secrets')).status).toBe(403)
  })
})

describe('a node identity on ordinary paths', () => {
  it('may change the status of its own pods and Node, and nothing of their metadata', async () => {
    await report({
      node: {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: NODE, uid: '', creationTimestamp: '' },
        spec: {},
      },
    })
    const patch = (url: string) =>
      api.call('PATCH', url, {
        token: NODE_TOKEN,
        body: JSON.stringify({
          metadata: { labels: { mine: 'now' }, annotations: { mine: 'now' } },
          status: { conditions: [{ type: 'Ready', status: 'True' }] },
        }),
        headers: { 'content-type': 'application/merge-patch+json' },
      })
    const { status, body } = await patch(`/api/v1/nodes/${NODE}/status`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: { conditions: [{ type: 'Ready' }] } })
    expect(body).not.toHaveProperty('metadata.labels.mine')
    expect(body).not.toHaveProperty('metadata.annotations.mine')
    expect((await patch(`/api/v1/nodes/${NODE}`)).status).toBe(403)
    expect((await patch('/api/v1/nodes/vm-2/status')).status).toBe(403)
  })
})

describe('desired', () => {
  it('holds what its own pods use, and nothing else', async () => {
    const using: Partial<PodSpec> = {
      imagePullSecrets: [{ name: 'pull' }],
      containers: [
        {
          name: 'a',
          env: [
            { name: 'A', valueFrom: { secretKeyRef: { name: 'env', key: 'a' } } },
            { name: 'B', valueFrom: { configMapKeyRef: { name: 'env', key: 'b' } } },
          ],
          envFrom: [{ configMapRef: { name: 'all' } }, { secretRef: { name: 'missing' } }],
        },
      ],
      initContainers: [{ name: 'i', envFrom: [{ secretRef: { name: 'init' } }] }],
      volumes: [
        { name: 'v', secret: { secretName: 'volume' } },
        { name: 'w', projected: { sources: [{ configMap: { name: 'projected' } }] } },
      ],
    }
    const others = { nodeName: 'vm-2', imagePullSecrets: [{ name: 'theirs' }] }
    await api.seed(
      ['pods', pod('mine', using)],
      ['pods', pod('other', others)],
      ...['pull', 'env', 'init', 'volume', 'theirs', 'unused'].map((name): [string, KubeObject] => [
        'secrets',
        plain('Secret', name),
      ]),
      ...['env', 'all', 'projected', 'unused'].map((name): [string, KubeObject] => [
        'configmaps',
        plain('ConfigMap', name),
      ]),
      ['services', plain('Service', 'web')],
      ['endpointslices.discovery.k8s.io', plain('EndpointSlice', 'web-1')],
    )
    const { body } = await api.call<DesiredState>('GET', path('desired'), { token: NODE_TOKEN })
    const names = (objects: readonly KubeObject[]): string[] =>
      objects.map((object) => object.metadata.name)
    expect(body.version).toBe(api.view.current.version)
    expect(names(body.pods)).toEqual(['mine'])
    expect(names(body.secrets)).toEqual(['env', 'init', 'pull', 'volume'])
    expect(names(body.configMaps)).toEqual(['all', 'env', 'projected'])
    expect(names(body.services)).toEqual(['web'])
    expect(names(body.endpointSlices)).toEqual(['web-1'])
    expect(body.node).toBeUndefined()
  })
})

describe('a report about the node', () => {
  const node = (over: Partial<Node> = {}): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'what-it-says', uid: 'x', creationTimestamp: '', labels: { pool: 'a' } },
    spec: { providerID: 'gce://p/z/vm-1' },
    status: {
      capacity: { cpu: '2' },
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
    },
    ...over,
  })

  it('registers it under the name that was proved', async () => {
    const { version } = await report({ node: node() })
    expect(stored('nodes', NODE, '')).toMatchObject({
      metadata: {
        name: NODE,
        resourceVersion: version,
        labels: { pool: 'a', 'kubernetes.io/hostname': NODE },
        annotations: { [INSTANCE_ID_ANNOTATION]: '4711' },
        creationTimestamp: '2026-11-22T12:00:00Z',
      },
      spec: { providerID: 'gce://p/z/vm-1' },
      status: {
        capacity: { cpu: '2' },
        conditions: [{ type: 'Ready', lastTransitionTime: '2026-11-22T12:00:00Z' }],
      },
    })
    expect(stored('nodes', 'what-it-says', '')).toBeUndefined()
  })

  it('is no commit when nothing but a heartbeat is new', async () => {
    await report({ node: node() })
    const { version } = api.view.current
    const beat = node()
    for (const condition of beat.status?.conditions ?? []) {
      condition.lastHeartbeatTime = '2026-11-22T13:00:00Z'
    }
    expect(await report({ node: beat })).toEqual({ unknown: [] })
    expect(api.view.current.version).toBe(version)
  })

  it('keeps what others decided', async () => {
    await report({ node: node() })
    const url = `/api/v1/nodes/${NODE}`
    const { body } = await api.call<Node & Record<string, unknown>>('GET', url)
    const cordoned = {
      ...body,
      metadata: { ...body.metadata, labels: { ...body.metadata.labels, mine: 'yes' } },
      spec: { ...body.spec, unschedulable: true, taints: [{ key: 'k', effect: 'NoSchedule' }] },
    }
    expect((await api.call('PUT', url, { body: cordoned })).status).toBe(200)
    await api.clock.advance(60_000)
    const down = node({ status: { conditions: [{ type: 'Ready', status: 'False' }] } })
    await report({ node: down })
    expect(stored('nodes', NODE, '')).toMatchObject({
      metadata: { labels: { mine: 'yes', pool: 'a' } },
      spec: { unschedulable: true, taints: [{ key: 'k' }] },
      status: {
        capacity: { cpu: '2' },
        conditions: [{ status: 'False', lastTransitionTime: '2026-11-22T12:01:00Z' }],
      },
    })
  })

  it('of another VM under the same name makes another Node', async () => {
    const old: Node = {
      ...node(),
      metadata: { ...seededMeta(NODE), annotations: { [INSTANCE_ID_ANNOTATION]: '1' } },
      spec: { unschedulable: true },
    }
    await api.seed(['nodes', old])
    await report({ node: node() })
    const replaced = stored('nodes', NODE, '')
    expect(replaced?.metadata.uid).not.toBe(old.metadata.uid)
    expect(replaced).not.toHaveProperty('spec.unschedulable')
  })
})

describe('a report about pods', () => {
  it('is one commit for all of them and their events', async () => {
    await api.seed(['pods', pod('a')], ['pods', pod('b')])
    const { version } = api.view.current
    await report({
      pods: ['a', 'b'].map((name) => ({
        namespace: 'default',
        name,
        uid: `uid-default-${name}`,
        status: { phase: 'Running', podIP: '10.0.0.1' },
      })),
      events: [
        {
          pod: { namespace: 'default', name: 'a', uid: 'uid-default-a' },
          fieldPath: 'spec.containers{a}',
          type: 'Normal',
          reason: 'Started',
          message: 'Started container a',
        },
      ],
    })
    const revisions = await api.view.history(version)
    expect(revisions).toHaveLength(1)
    expect(revisions[0]?.cause).toMatchObject({ actor: `node:${NODE}`, verb: 'report' })
    expect(revisions[0]?.changes).toHaveLength(3)
    expect(stored('pods', 'b')).toMatchObject({ status: { phase: 'Running', podIP: '10.0.0.1' } })
  })

  it('that says nothing new is no commit', async () => {
    await api.seed(['pods', pod('a', {}, { phase: 'Running', qosClass: 'BestEffort' })])
    const { version } = api.view.current
    expect(await report(aboutPod('a', { phase: 'Running' }))).toEqual({ unknown: [] })
    expect(api.view.current.version).toBe(version)
  })

  it('names those that are not its own any more, and changes nothing about them', async () => {
    await api.seed(['pods', pod('other', { nodeName: 'vm-2' })], ['pods', pod('replaced')])
    const { version } = api.view.current
    const ghosts = [
      { namespace: 'default', name: 'other', uid: 'uid-default-other' },
      { namespace: 'default', name: 'replaced', uid: 'an-older-one' },
      { namespace: 'default', name: 'gone', uid: 'u' },
    ]
    const { unknown } = await report({
      pods: ghosts.map((ghost) => ({ ...ghost, status: { phase: 'Running' as const } })),
      events: ghosts.map((ghost) => ({ pod: ghost, type: 'Normal', reason: 'R', message: 'm' })),
    })
    expect(unknown).toEqual(ghosts)
    expect(api.view.current.version).toBe(version)
  })

  it('keeps the conditions that others set, and an end that was reached', async () => {
    const scheduled = { type: 'PodScheduled', status: 'True' as const }
    await api.seed([
      'pods',
      pod('a', {}, { phase: 'Failed', reason: 'Evicted', conditions: [scheduled] }),
    ])
    const ready = { type: 'Ready', status: 'False' as const }
    await report(aboutPod('a', { phase: 'Running', conditions: [ready] }))
    expect(stored('pods', 'a')).toMatchObject({
      status: { phase: 'Failed', conditions: [scheduled, ready] },
    })
  })

  it('ends the record of a pod that was to go', async () => {
    await api.seed(['pods', pod('a')], ['pods', pod('b')])
    await api.call('DELETE', '/api/v1/namespaces/default/pods/a')
    const ended: PodStatus = { phase: 'Succeeded' }
    await report(aboutPod('a', ended, { isGone: true }))
    expect(stored('pods', 'a')).toBeUndefined()
    // Nobody asked b to go: that its processes are gone is only news.
    await report(aboutPod('b', ended, { isGone: true }))
    expect(stored('pods', 'b')).toMatchObject({ status: { phase: 'Succeeded' } })
  })

  it('but not while a finalizer holds it', async () => {
    const held = { ...pod('a'), metadata: { name: 'a', finalizers: ['a.b/c'] } }
    await api.call('POST', '/api/v1/namespaces/default/pods', { body: held })
    const uid = stored('pods', 'a')?.metadata.uid ?? ''
    await api.call('DELETE', '/api/v1/namespaces/default/pods/a')
    const status: PodStatus = { phase: 'Succeeded' }
    await report({ pods: [{ namespace: 'default', name: 'a', uid, status, isGone: true }] })
    expect(stored('pods', 'a')?.metadata.deletionGracePeriodSeconds).toBe(0)
    const { body } = await api.call<Pod & Record<string, unknown>>(
      'GET',
      '/api/v1/namespaces/default/pods/a',
    )
    const { finalizers: _, ...metadata } = body.metadata
    const freed = await api.call('PUT', '/api/v1/namespaces/default/pods/a', {
      body: { ...body, metadata },
    })
    expect([freed.status, stored('pods', 'a')]).toEqual([200, undefined])
  })
})

describe('events', () => {
  const backOff = {
    pod: { namespace: 'default', name: 'a', uid: 'uid-default-a' },
    type: 'Warning' as const,
    reason: 'BackOff',
    message: 'Back-off restarting failed container a',
  }

  const counts = async (): Promise<unknown[]> => {
    const { body } = await api.call<{ items: Record<string, unknown>[] }>(
      'GET',
      '/api/v1/namespaces/default/events',
    )
    return body.items.map(({ count, firstTimestamp, lastTimestamp }) => [
      count,
      firstTimestamp,
      lastTimestamp,
    ])
  }

  it('that say the same are one that is counted', async () => {
    await api.seed(['pods', pod('a')])
    await report({ events: [backOff, backOff] })
    await api.clock.advance(60_000)
    await report({ events: [backOff] })
    expect(await counts()).toEqual([[3, '2026-11-22T12:00:00Z', '2026-11-22T12:01:00Z']])
    await api.clock.advance(3_600_001)
    await report({ events: [backOff] })
    expect(await counts()).toEqual([[1, '2026-11-22T13:01:00Z', '2026-11-22T13:01:00Z']])
  })

  it('about the node stand in the namespace default', async () => {
    await report({
      events: [{ type: 'Normal', reason: 'Starting', message: 'Starting the agent' }],
    })
    const { body } = await api.call('GET', '/api/v1/namespaces/default/events')
    expect(body).toMatchObject({
      items: [
        {
          involvedObject: { kind: 'Node', name: NODE, uid: NODE },
          source: { component: 'kubelet', host: NODE },
          reason: 'Starting',
        },
      ],
    })
  })
})
