// The GKE API without gcloud: requests as gcloud sends them, answers as it reads them.

import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import { createGke } from './app.ts'

const AT = '/v1/projects/p/locations/us-east1-c'
const CREATE = {
  cluster: { name: 'test-cluster', nodePools: [{ name: 'default-pool', initialNodeCount: 2 }] },
}

// The answers' shapes are what is under test.
// oxlint-disable-next-line typescript/no-explicit-any
type Answer = { status: number; body: Record<string, any> }

let call: (method: string, path: string, body?: unknown, token?: string) => Promise<Answer>
let published: () => number

beforeEach(() => {
  const clock = createManualClock()
  const log = createMemoryLog()
  const store = createMemoryStore({ clock })
  const bus = createMemoryBus({ clock, isManual: true })
  const views = createLiveViews({ store, clock, log })
  published = () => bus.published()
  const app = createGke({
    store,
    views,
    bus,
    clock,
    log,
    project: 'p',
    access: async () => ({ endpoint: '127.0.0.1:16443', ca: 'PEM' }),
    authenticate: async (token) =>
      token === 'admin'
        ? { user: 'admin', groups: ['system:masters'] }
        : token === 'node'
          ? { user: 'system:node:n', groups: ['system:nodes'], clusters: ['c'] }
          : undefined,
  })
  call = async (method, path, body, token = 'admin') => {
    const response = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer: Answer = { status: response.status, body: JSON.parse(await response.text()) }
    return answer
  }
})

describe('clusters', () => {
  test('create answers an operation that runs until the nodes are there', async () => {
    const created = await call('POST', `${AT}/clusters`, CREATE)
    expect(created.status).toBe(200)
    expect(created.body).toMatchObject({ operationType: 'CREATE_CLUSTER', status: 'RUNNING' })
    expect(published()).toBeGreaterThan(0)
    const polled = await call('GET', `${AT}/operations/${created.body['name']}`)
    expect(polled.body).toMatchObject({ status: 'RUNNING', detail: '0 of 2 nodes are ready.' })
  })

  test('a described cluster has what every column of gcloud needs', async () => {
    await call('POST', `${AT}/clusters`, CREATE)
    const { body } = await call('GET', `${AT}/clusters/test-cluster`)
    expect(body).toMatchObject({
      name: 'test-cluster',
      zone: 'us-east1-c',
      location: 'us-east1-c',
      endpoint: '127.0.0.1:16443',
      status: 'RUNNING',
      masterAuth: { clusterCaCertificate: Buffer.from('PEM').toString('base64') },
      nodePools: [{ name: 'default-pool', config: { machineType: 'e2-medium', diskSizeGb: 100 } }],
    })
    // gcloud crashes on a version that is no SemVer.
    expect(body['currentMasterVersion']).toMatch(/^\d+\.\d+\.\d+-[\w.]+$/)
    expect(
      (await call('GET', '/v1/projects/p/locations/-/clusters')).body['clusters'],
    ).toHaveLength(1)
    expect((await call('GET', '/v1/projects/p/locations/us-west1-a/clusters')).body).toEqual({})
  })

  test('created twice: 409 in Google’s words; the first one is unharmed', async () => {
    await call('POST', `${AT}/clusters`, CREATE)
    const again = await call('POST', `${AT}/clusters`, CREATE)
    expect(again).toEqual({
      status: 409,
      body: {
        error: {
          code: 409,
          message: 'Already exists: projects/p/zones/us-east1-c/clusters/test-cluster.',
          status: 'ALREADY_EXISTS',
        },
      },
    })
  })

  test('without nodes it is there at once, and gone at once', async () => {
    const empty = {
      cluster: { name: 'empty', nodePools: [{ name: 'default-pool', initialNodeCount: 0 }] },
    }
    const created = await call('POST', `${AT}/clusters`, empty)
    expect(created.body['status']).toBe('DONE')
  })

  test('labels are set only by whom has seen the last ones', async () => {
    await call('POST', `${AT}/clusters`, CREATE)
    const { body } = await call('GET', `${AT}/clusters/test-cluster`)
    const set = (fingerprint: unknown): Promise<Answer> =>
      call('POST', `${AT}/clusters/test-cluster:setResourceLabels`, {
        resourceLabels: { team: 'a' },
        labelFingerprint: fingerprint,
      })
    expect((await set('stale')).status).toBe(400)
    expect((await set(body['labelFingerprint'])).status).toBe(200)
    expect((await call('GET', `${AT}/clusters/test-cluster`)).body['resourceLabels']).toEqual({
      team: 'a',
    })
  })

  test('an upgrade is done at once; what cannot change is refused by name', async () => {
    await call('POST', `${AT}/clusters`, {
      cluster: { name: 'c', nodePools: [{ initialNodeCount: 0 }] },
    })
    const put = (update: unknown): Promise<Answer> => call('PUT', `${AT}/clusters/c`, { update })
    expect((await put({ desiredMasterVersion: '-' })).body).toMatchObject({
      operationType: 'UPGRADE_MASTER',
      status: 'DONE',
    })
    const refused = await put({ desiredNodePoolAutoscaling: { enabled: true } })
    expect(refused.status).toBe(400)
    expect(refused.body['error'].message).toContain('desiredNodePoolAutoscaling')
  })

  test('delete marks it and answers an operation', async () => {
    await call('POST', `${AT}/clusters`, CREATE)
    const { body } = await call('DELETE', `${AT}/clusters/test-cluster`)
    expect(body).toMatchObject({ operationType: 'DELETE_CLUSTER', status: 'RUNNING' })
    expect((await call('GET', `${AT}/clusters/test-cluster`)).body['status']).toBe('STOPPING')
    const again = await call('POST', `${AT}/clusters`, CREATE)
    expect(again.body['error'].message).toContain('being deleted')
  })
})

describe('node pools', () => {
  test('created, resized, listed, deleted', async () => {
    await call('POST', `${AT}/clusters`, CREATE)
    const pools = `${AT}/clusters/test-cluster/nodePools`
    const nodePool = {
      name: 'pool-2',
      initialNodeCount: 1,
      config: {
        machineType: 'e2-small',
        spot: true,
        labels: { tier: 'b' },
        taints: [{ key: 'only', value: 'batch', effect: 'NO_SCHEDULE' }],
      },
      autoscaling: { enabled: true, minNodeCount: 0, maxNodeCount: 3 },
    }
    expect((await call('POST', pools, { nodePool })).status).toBe(200)
    expect((await call('GET', `${pools}/pool-2`)).body).toMatchObject({
      name: 'pool-2',
      config: {
        machineType: 'e2-small',
        spot: true,
        labels: { tier: 'b' },
        taints: nodePool.config.taints,
      },
      autoscaling: { enabled: true, maxNodeCount: 3 },
    })
    const sized = await call('POST', `${pools}/pool-2:setSize`, { nodeCount: 2 })
    expect(sized.body['operationType']).toBe('SET_NODE_POOL_SIZE')
    expect((await call('GET', pools)).body['nodePools']).toHaveLength(2)
    expect((await call('POST', pools, { nodePool })).status).toBe(409)
    expect((await call('DELETE', `${pools}/nobody`)).status).toBe(404)
    expect((await call('DELETE', `${pools}/pool-2`)).status).toBe(200)
    expect((await call('GET', pools)).body['nodePools']).toHaveLength(1)
  })
})

describe('what is refused', () => {
  test.each([
    ['a name in capitals', { cluster: { name: 'Test' } }, 'cluster.name'],
    [
      'a negative count',
      { cluster: { name: 'a', nodePools: [{ initialNodeCount: -1 }] } },
      'initial_node_count',
    ],
    [
      'a tiny disk',
      { cluster: { name: 'a', nodePools: [{ config: { diskSizeGb: 1 } }] } },
      'disk_size_gb',
    ],
    ['two pools of one name', { cluster: { name: 'a', nodePools: [{}, {}] } }, 'unique'],
    ['nothing', {}, 'Cluster must be specified'],
  ])('%s', async (_what, body, expected) => {
    const answer = await call('POST', `${AT}/clusters`, body)
    expect(answer.status).toBe(400)
    expect(answer.body['error'].message).toContain(expected)
  })

  test('no token, a node’s token, another project, an unknown path: never 500 or 501', async () => {
    expect((await call('GET', `${AT}/clusters`, undefined, 'forged')).status).toBe(401)
    expect((await call('GET', `${AT}/clusters`, undefined, 'node')).status).toBe(403)
    expect((await call('GET', '/v1/projects/other/locations/-/clusters')).status).toBe(403)
    expect((await call('POST', `${AT}/clusters/x:nonsense`, {})).status).toBe(404)
    expect((await call('GET', `${AT}/clusters/nobody`)).body['error'].message).toBe(
      'Not found: projects/p/zones/us-east1-c/clusters/nobody.',
    )
  })
})
