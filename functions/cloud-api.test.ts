import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { keyOf } from '#shared/key.ts'
import type { Store } from '#shared/ports/store.ts'
import { startGoogleDouble, type GoogleDouble } from '#test/support/google-double.ts'
import { createGoogleIdentity } from './adapters/google-identity.ts'
import { createGoogleKeys, GOOGLE_ISSUER } from './adapters/google-keys.ts'
import { createSystemClock } from './adapters/system-clock.ts'
import { createCloudApi } from './cloud-api.ts'

const PROJECT = 'demo-wherry'
const URL_BASE = 'https://wherry-api-1.us-east1.run.app'
const ADMIN = 'ya29.admin'
const VIEWER = 'ya29.viewer'
const STRANGER = 'ya29.stranger'
const CLUSTERS = `/v1/projects/${PROJECT}/locations/us-east1-c/clusters`

let google: GoogleDouble
let store: Store
let app: ReturnType<typeof createCloudApi>
const log = createMemoryLog()
/** Cluster ids by name. */
const ids = new Map<string, string>()

interface Answer {
  status: number
  body: Record<string, unknown>
}

async function ask(path: string, token?: string, method = 'GET', body?: unknown): Promise<Answer> {
  const response = await app.fetch(
    new Request(`${URL_BASE}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }),
  )
  const text = await response.text()
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {} }
}

const vm = (name: string, id: string) => ({
  project_id: PROJECT,
  zone: 'us-east1-c',
  instance_id: id,
  instance_name: name,
  instance_creation_timestamp: 1_795_305_600,
})

/** As the cloud function does when Compute Engine has made a VM. */
async function listVm(cluster: string, name: string, id: string): Promise<void> {
  const key = keyOf('nodepools.container.wherry.dev', '', 'default-pool')
  const pool = (await store.get(cluster, key)) as NodePool
  const { resourceVersion = null } = pool.metadata
  const instance = {
    name,
    id,
    status: 'RUNNING',
    creationTimestamp: '2026-11-22T00:00:00Z',
    internalIp: '10.0.0.2',
  }
  await store.commit(cluster, {
    id: `list-${name}`,
    cause: { actor: 'test', verb: 'update' },
    writes: [
      {
        key,
        object: { ...pool, status: { instances: [instance] } } as NodePool,
        expect: resourceVersion,
      },
    ],
  })
}

beforeAll(async () => {
  google = await startGoogleDouble()
  google.people.set(ADMIN, {
    email: 'ada@example.com',
    permissions: ['container.clusters.get', 'container.clusters.update'],
  })
  google.people.set(VIEWER, { email: 'vi@example.com', permissions: ['container.clusters.get'] })
  google.people.set(STRANGER, { email: 'eve@example.com', permissions: [] })
  const clock = createSystemClock()
  store = createMemoryStore({ clock })
  app = createCloudApi({
    store,
    bus: createMemoryBus({ clock }),
    clock,
    log,
    project: PROJECT,
    url: URL_BASE,
    issuer: GOOGLE_ISSUER,
    keys: createGoogleKeys(`${google.url}/oauth2/v3/certs`),
    google: createGoogleIdentity({
      project: PROJECT,
      clock,
      log,
      tokenInfoUrl: `${google.url}/tokeninfo`,
      resourceManagerUrl: google.url,
    }),
    probes: { compute: async () => 'ok', pubsub: async () => undefined },
  })
  for (const name of ['one', 'two']) {
    const cluster = { name, initialNodeCount: 1 }
    expect((await ask(CLUSTERS, ADMIN, 'POST', { cluster })).status).toBe(200)
    const { body } = await ask(`${CLUSTERS}/${name}`, ADMIN)
    const id = /\/clusters\/(c-\w+)$/.exec(String(body['endpoint']))?.[1] ?? ''
    ids.set(name, id)
    await listVm(id, `vm-${name}`, name === 'one' ? '11' : '22')
  }
})

afterAll(() => google.close())

const path = (cluster: string, rest: string): string => `/clusters/${ids.get(cluster)}${rest}`

describe('clusters under one host', () => {
  it('gcloud learns a public endpoint that needs no CA', async () => {
    const { body } = await ask(`${CLUSTERS}/one`, ADMIN)
    expect(body).toMatchObject({
      endpoint: `wherry-api-1.us-east1.run.app/clusters/${ids.get('one')}`,
      controlPlaneEndpointsConfig: {
        dnsEndpointConfig: { allowExternalTraffic: true, endpoint: body['endpoint'] },
        ipEndpointsConfig: { enabled: false },
      },
    })
  })

  it('kubectl finds each cluster under its path', async () => {
    expect((await ask(path('one', '/version'), ADMIN)).body).toHaveProperty('gitVersion')
    const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'mine' } }
    const maps = '/api/v1/namespaces/default/configmaps'
    expect((await ask(path('one', maps), ADMIN, 'POST', configMap)).status).toBe(201)
    expect((await ask(path('one', `${maps}/mine`), ADMIN)).status).toBe(200)
    expect((await ask(path('two', `${maps}/mine`), ADMIN)).status).toBe(404)
  })

  it('what is no cluster is none for administrators either', async () => {
    for (const id of ['c-0000', 'wherry-fleet', 'wherry-sweep', '..', '%2e%2e', 'c-x%2f..', '']) {
      const { status } = await ask(`/clusters/${id}/api/v1/namespaces`, ADMIN)
      expect([403, 404], id).toContain(status)
    }
  })

  it('health is for everybody', async () => {
    expect((await ask('/healthz')).status).toBe(200)
    expect((await ask(path('one', '/livez'))).status).toBe(200)
  })
})

describe('who may do what', () => {
  it('nobody without a token, a known one, or a role in the project', async () => {
    for (const token of [undefined, 'x', 'ya29.unknown', STRANGER, 'a'.repeat(9000)]) {
      expect((await ask(CLUSTERS, token)).status).toBe(401)
      expect((await ask(path('one', '/api/v1/pods'), token)).status).toBe(401)
    }
  })

  it('viewers look and change nothing', async () => {
    expect((await ask(CLUSTERS, VIEWER)).status).toBe(200)
    expect((await ask(`${CLUSTERS}/one`, VIEWER, 'DELETE')).status).toBe(403)
    expect((await ask(path('one', '/api/v1/pods'), VIEWER)).status).toBe(200)
    expect((await ask(path('one', '/api/v1/secrets'), VIEWER)).status).toBe(403)
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } }
    expect((await ask(path('one', '/api/v1/namespaces'), VIEWER, 'POST', namespace)).status).toBe(
      403,
    )
  })

  it('a VM speaks to its own cluster only', async () => {
    const token = await google.vmToken(URL_BASE, vm('vm-one', '11'))
    const desired = '/apis/agent.wherry.dev/v1/nodes/vm-one/desired'
    expect((await ask(path('one', desired), token)).status).toBe(200)
    expect((await ask(path('two', desired), token)).status).toBe(401)
    expect((await ask(CLUSTERS, token)).status).toBe(401)
    expect((await ask(path('one', '/api/v1/secrets'), token)).status).toBe(403)
  })

  it.each([
    ['is not listed', vm('vm-three', '33'), {}],
    ['has the name but not the id of one that is', vm('vm-one', '99'), {}],
    ['is of another project', { ...vm('vm-one', '11'), project_id: 'other' }, {}],
    ['is in another zone', { ...vm('vm-one', '11'), zone: 'us-east1-b' }, {}],
    ['shows a forged token', vm('vm-one', '11'), { isForged: true }],
    ['shows an expired token', vm('vm-one', '11'), { expiresIn: -120 }],
    ['shows a token for somebody else', vm('vm-one', '11'), { audience: 'https://other.run.app' }],
    ['shows a token of another issuer', vm('vm-one', '11'), { issuer: 'https://evil.example' }],
  ])('a VM that %s is nobody', async (_, engine, over) => {
    const claims = { google: { compute_engine: engine } }
    const token = await google.sign({ audience: URL_BASE, claims, ...over })
    const { status } = await ask(
      path('one', `/apis/agent.wherry.dev/v1/nodes/${engine.instance_name}/desired`),
      token,
    )
    expect(status).toBe(401)
  })

  it('an identity token is never sent on to Google as if it were an access token', async () => {
    const before = google.requests.length
    const token = await google.sign({ audience: URL_BASE, isForged: true })
    await ask(path('one', '/api/v1/pods'), token)
    expect(google.requests.slice(before).filter((each) => each === '/tokeninfo')).toEqual([])
  })

  it('nothing of a token is ever logged', () => {
    const lines = JSON.stringify(log.entries)
    for (const secret of [ADMIN, VIEWER, STRANGER, 'eyJ']) expect(lines).not.toContain(secret)
  })
})
