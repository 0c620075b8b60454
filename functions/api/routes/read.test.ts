import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLUSTER, createTestApi, NODE, NODE_TOKEN, seededMeta, type TestApi } from '#test/api.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'

interface List {
  kind: string
  apiVersion: string
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
  items: { metadata: { name: string; namespace?: string } }[]
  message: string
  reason: string
}

const list = (query = '', headers: Record<string, string> = {}) =>
  api.call<List>('GET', `${CONFIG_MAPS}${query}`, { headers })

const names = (body: List): string[] => body.items.map((item) => item.metadata.name)

async function create(...all: string[]): Promise<void> {
  for (const name of all) {
    const body = { metadata: { name, labels: { name, odd: name.length % 2 ? 'yes' : 'no' } } }
    expect((await api.call('POST', CONFIG_MAPS, { body })).status).toBe(201)
  }
}

describe('lists', () => {
  it('are in the order of names, of one version', async () => {
    await create('b', 'a')
    const { body } = await list()
    expect(body).toMatchObject({ kind: 'ConfigMapList', apiVersion: 'v1' })
    expect(names(body)).toEqual(['a', 'b'])
    expect(body.metadata).toEqual({ resourceVersion: api.view.current.version })
  })

  it('go over all namespaces', async () => {
    await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'other' } } })
    await create('a')
    const body = { metadata: { name: 'z' } }
    await api.call('POST', '/api/v1/namespaces/other/configmaps', { body })
    const all = await api.call<List>('GET', '/api/v1/configmaps')
    expect(all.body.items.map((item) => item.metadata.namespace)).toEqual(['default', 'other'])
    const one = await api.call<List>(
      'GET',
      '/api/v1/configmaps?fieldSelector=metadata.namespace=other',
    )
    expect(names(one.body)).toEqual(['z'])
  })

  it.each([
    ['labelSelector=odd%3Dyes', ['a', 'ccc']],
    ['labelSelector=odd!=yes', ['bb']],
    ['labelSelector=name+in+(a,bb)', ['a', 'bb']],
    ['labelSelector=!nothing,odd', ['a', 'bb', 'ccc']],
    ['fieldSelector=metadata.name%3Dbb', ['bb']],
    ['fieldSelector=metadata.name!%3Dbb', ['a', 'ccc']],
    ['fieldSelector=metadata.name=bb,metadata.namespace=default', ['bb']],
    ['fieldSelector=metadata.name=bb,metadata.namespace=other', []],
    ['fieldSelector=metadata.name=none', []],
  ])('select by %s', async (query, expected) => {
    await create('a', 'bb', 'ccc')
    expect(names((await list(`?${query}`)).body)).toEqual(expected)
  })

  it.each([
    [
      '?fieldSelector=spec.nodeName=x',
      'Unable to find "/v1, Resource=configmaps" that match label selector "", field selector "spec.nodeName=x": field label not supported: spec.nodeName',
    ],
    ['?fieldSelector=nonsense', "invalid selector: 'nonsense'; can't understand 'nonsense'"],
    ['?labelSelector=a+in', "unable to parse requirement: found '' expected: '('"],
    ['?limit=many', 'limit: Invalid value: "many": must be a number'],
    ['?continue=nonsense', 'continue key is not valid: it was not made by this server'],
    ['?sendInitialEvents=true', 'sendInitialEvents is forbidden for list'],
  ])('refuse %s', async (query, message) => {
    const { status, body } = await list(query)
    expect([status, body.message]).toEqual([400, message])
  })
})

describe('pages', () => {
  it('are all of the version of the first, whatever happens meanwhile', async () => {
    await create('a', 'b', 'c', 'd', 'e')
    const first = await list('?limit=2')
    expect(names(first.body)).toEqual(['a', 'b'])
    expect(first.body.metadata.remainingItemCount).toBe(3)
    await api.call('DELETE', `${CONFIG_MAPS}/c`)
    await create('bb', 'f')
    const second = await list(`?limit=2&continue=${first.body.metadata.continue}`)
    expect(names(second.body)).toEqual(['c', 'd'])
    expect(second.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion)
    const third = await list(`?limit=2&continue=${second.body.metadata.continue}`)
    expect(names(third.body)).toEqual(['e'])
    expect(third.body.metadata.continue).toBeUndefined()
  })

  it('do not count what a selector hides', async () => {
    await create('a', 'bb', 'ccc', 'ddddd')
    const { body } = await list('?limit=1&labelSelector=odd=yes')
    expect(names(body)).toEqual(['a'])
    expect(body.metadata.remainingItemCount).toBeUndefined()
    const next = await list(`?limit=5&labelSelector=odd=yes&continue=${body.metadata.continue}`)
    expect(names(next.body)).toEqual(['ccc', 'ddddd'])
  })

  it('expire with the log, and tell how to go on all the same', async () => {
    await create('a', 'b', 'c')
    const first = await list('?limit=1')
    await create('d')
    await create('e')
    await api.views.checkpoint(CLUSTER)
    await api.store.trim(CLUSTER, api.view.current.version, 100)
    const restarted = await createTestApi({ store: api.store, clock: api.clock })
    const path = `${CONFIG_MAPS}?continue=${first.body.metadata.continue}`
    const expired = await restarted.call<List>('GET', path)
    expect([expired.status, expired.body.reason]).toEqual([410, 'Expired'])
    const token = expired.body.metadata.continue
    const rest = await restarted.call<List>('GET', `${CONFIG_MAPS}?continue=${token}`)
    expect(names(rest.body)).toEqual(['b', 'c', 'd', 'e'])
    await restarted.close()
  })

  it('exist not for lists that may be of any version', async () => {
    await create('a', 'b')
    expect(names((await list('?limit=1&resourceVersion=0')).body)).toEqual(['a', 'b'])
  })
})

describe('versions', () => {
  it('in the past can be listed exactly', async () => {
    await create('a')
    const { version } = api.view.current
    await create('b')
    await api.call('DELETE', `${CONFIG_MAPS}/a`)
    const exact = await list(`?resourceVersion=${version}&resourceVersionMatch=Exact`)
    expect(names(exact.body)).toEqual(['a'])
    expect(exact.body.metadata.resourceVersion).toBe(version)
    const newer = await list(`?resourceVersion=${version}&resourceVersionMatch=NotOlderThan`)
    expect(names(newer.body)).toEqual(['b'])
  })

  it('of the future are not waited for', async () => {
    const { status, body, headers } = await list('?resourceVersion=9999999999999999')
    expect([status, body.reason]).toEqual([504, 'Timeout'])
    expect(headers.get('retry-after')).toBe('1')
  })
})

describe('shapes', () => {
  it('are tables for people', async () => {
    await create('a')
    const { body } = await api.call('GET', CONFIG_MAPS, { headers: { accept: TABLE } })
    expect(body).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { resourceVersion: api.view.current.version },
      columnDefinitions: [{ name: 'Name', format: 'name' }, { name: 'Data' }, { name: 'Age' }],
      rows: [
        {
          cells: ['a', 0, '0s'],
          object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' },
        },
      ],
    })
    const one = await api.call('GET', `${CONFIG_MAPS}/a?includeObject=Object`, {
      headers: { accept: TABLE },
    })
    expect(one.body).toMatchObject({ rows: [{ object: { kind: 'ConfigMap' } }] })
    const bare = await api.call('GET', `${CONFIG_MAPS}?includeObject=None`, {
      headers: { accept: TABLE },
    })
    expect(bare.body).not.toHaveProperty('rows.0.object')
  })

  it('mark pods that are done', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: seededMeta('p', 'default') }
    const rest = { spec: { containers: [] }, status: { phase: 'Succeeded' } }
    await api.seed(['pods', { ...pod, ...rest }])
    const { body } = await api.call('GET', '/api/v1/pods', { headers: { accept: TABLE } })
    expect(body).toMatchObject({
      rows: [{ conditions: [{ type: 'Completed', status: 'True', reason: 'Succeeded' }] }],
    })
  })

  it('are metadata only for who asks for that, or YAML', async () => {
    await create('a')
    const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'
    const partial = await list('', { accept })
    expect(partial.body).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: [{ kind: 'PartialObjectMetadata', metadata: { name: 'a' } }],
    })
    const yaml = await list('/a', { accept: 'application/yaml' })
    expect(yaml.headers.get('content-type')).toBe('application/yaml')
    expect(yaml.text).toContain('kind: ConfigMap')
    const cbor = await list('', { accept: 'application/cbor' })
    expect([cbor.status, cbor.body.reason]).toEqual([406, 'NotAcceptable'])
  })

  it('are compressed when they are long and the client can read it', async () => {
    const data = { text: 'x'.repeat(200_000) }
    await api.call('POST', CONFIG_MAPS, { body: { metadata: { name: 'long' }, data } })
    const response = await api.open(CONFIG_MAPS, { headers: { 'accept-encoding': 'gzip' } })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect((await response.arrayBuffer()).byteLength).toBeLessThan(20_000)
  })
})

describe('component statuses', () => {
  it('are asked at the moment, and nobody waits long for one', async () => {
    const own = await createTestApi({
      probes: [
        { name: 'firestore', check: () => Promise.resolve('ok') },
        { name: 'pubsub', check: () => Promise.reject(new Error('connection refused')) },
        { name: 'compute', check: () => new Promise(() => undefined) },
      ],
    })
    const asked = own.call<{ items: unknown[] }>('GET', '/api/v1/componentstatuses')
    await own.clock.advance(2000)
    const { body } = await asked
    expect(body.items).toEqual([
      component('firestore', 'True', 'ok'),
      component('pubsub', 'False', 'connection refused'),
      component('compute', 'False', 'no answer within 2s'),
    ])
    const one = await own.call('GET', '/api/v1/componentstatuses/firestore')
    expect(one.body).toEqual(component('firestore', 'True', 'ok'))
    expect((await own.call('GET', '/api/v1/componentstatuses/other')).status).toBe(404)
    await own.close()
  })

  function component(name: string, status: string, message: string): unknown {
    const conditions = [{ type: 'Healthy', status, message }]
    return { apiVersion: 'v1', kind: 'ComponentStatus', metadata: { name }, conditions }
  }
})

describe('reviews', () => {
  const review = (kind: string, group: string, spec: object, token?: string) =>
    api.call('POST', `/apis/${group}/v1/${kind.toLowerCase()}s`, {
      body: { apiVersion: `${group}/v1`, kind, spec },
      ...(token ? { token } : {}),
    })

  it('tell who one is and what one may do', async () => {
    const who = await review('SelfSubjectReview', 'authentication.k8s.io', {})
    expect([who.status, who.body['status']]).toEqual([
      201,
      { userInfo: { username: 'admin', groups: ['system:masters', 'system:authenticated'] } },
    ])
    const ask = (resourceAttributes: object, token?: string) =>
      review('SelfSubjectAccessReview', 'authorization.k8s.io', { resourceAttributes }, token)
    const mine = await ask({ verb: 'delete', resource: 'nodes' })
    expect(mine.body).toMatchObject({ status: { allowed: true } })
    const node = { verb: 'get', resource: 'secrets', namespace: 'default', name: 's' }
    expect((await ask(node, NODE_TOKEN)).body).toMatchObject({ status: { allowed: false } })
    const own = { verb: 'get', resource: 'nodes', name: NODE }
    expect((await ask(own, NODE_TOKEN)).body).toMatchObject({ status: { allowed: true } })
    const rules = await review('SelfSubjectRulesReview', 'authorization.k8s.io', { namespace: 'x' })
    expect(rules.body).toMatchObject({
      status: { incomplete: false, resourceRules: [{ verbs: ['*'] }, {}, {}] },
    })
  })
})
