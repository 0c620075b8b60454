// What thieves and strangers try on the api function as it stands in the cloud: the Kubernetes API of two
// clusters and the GKE API beside them. They are refused in the API's own words, and the log tells of
// them without a secret.

import { createHmac, createPublicKey } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REFUSED } from '#functions/api/errors.ts'
import type { DesiredState } from '#shared/api/agent-wire.ts'
import {
  agent,
  CLUSTERS,
  DEFAULT,
  expectStatus,
  MARKER,
  openTarget,
  type Target,
} from './support/attacked.ts'
import { ADMIN, claimsOf, URL_BASE } from './support/cloud-world.ts'

const HOUR_MS = 3_600_000
/** Everything that must not be in the log. */
const secrets = new Set([ADMIN, MARKER])

let world: Target['world']
let ids: Target['ids']
let own: string
let neighbour: string
let stranger: string
let token: string
let ask: Target['ask']
let at: Target['at']

beforeAll(async () => {
  ;({ world, ids, own, neighbour, stranger, token, ask, at } = await openTarget())
}, 60_000)
afterAll(() => world?.close())

describe('tokens', () => {
  const claims = async () => {
    const vms = await world.compute.listInstances({})
    const found = vms.find(({ name }) => name === own)
    if (!found) throw new Error('no VM')
    return claimsOf(found)
  }
  const signed = async (over: object, audience = URL_BASE, ageMs = 0, isFull = true) =>
    world.identity.sign({ ...(await claims()), ...over }, audience, isFull, Date.now() - ageMs)
  const parts = (): [string, string, string] => token.split('.') as [string, string, string]
  const encode = (value: unknown): string =>
    Buffer.from(JSON.stringify(value)).toString('base64url')
  const payload = (): Record<string, unknown> =>
    JSON.parse(Buffer.from(parts()[1], 'base64url').toString())

  const FORGED: Record<string, () => Promise<string> | string> = {
    'no token': () => '',
    'any text': () => 'x',
    'three dots': () => '...',
    'a long text': () => 'zq'.repeat(50_000),
    'an access token of nobody': () => 'ya29.nobody',
    'the signature of another token': async () => {
      const other = await world.tokenOf(neighbour)
      return [...parts().slice(0, 2), other.split('.')[2]].join('.')
    },
    'claims that were changed': () =>
      [parts()[0], encode({ ...payload(), exp: 9_999_999_999 }), parts()[2]].join('.'),
    'algorithm none': () => `${encode({ alg: 'none', typ: 'JWT' })}.${parts()[1]}.`,
    'the public key as a password': () => {
      const [key] = world.identity.jwks.keys
      const pem = createPublicKey({ key: key ?? {}, format: 'jwk' })
        .export({ type: 'spki', format: 'pem' })
        .toString()
      const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: key?.kid })}.${parts()[1]}`
      return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
    },
    'a key of its own in the header': async () => {
      const pair = await crypto.subtle.generateKey(
        {
          name: 'RSASSA-PKCS1-v1_5',
          modulusLength: 2048,
          publicExponent: new Uint8Array([1, 0, 1]),
          hash: 'SHA-256',
        },
        true,
        ['sign', 'verify'],
      )
      const jwk = await crypto.subtle.exportKey('jwk', pair.publicKey)
      return new SignJWT(payload()).setProtectedHeader({ alg: 'RS256', jwk }).sign(pair.privateKey)
    },
    expired: () => signed({}, URL_BASE, 2 * HOUR_MS),
    'for somebody else': () => signed({}, 'https://other.example'),
    'of a VM of another project': () => signed({ project: 'other' }),
    'of a VM in another zone': () => signed({ zone: 'us-east1-b' }),
    'of an earlier VM of this name': () => signed({ instanceId: '1' }),
    'of a VM that is not of the pool': () => signed({ instanceName: 'gke-unknown' }),
    'that names no VM': () => signed({}, URL_BASE, 0, false),
    'of another cluster': () => world.tokenOf(stranger),
  }

  test.each(Object.keys(FORGED))('%s: nobody', async (what) => {
    const forged = (await FORGED[what]?.()) ?? ''
    if (forged.length > 20) secrets.add(forged.slice(-20))
    for (const path of [agent(own, 'desired'), `${DEFAULT}/pods`, '/version', '/nonsense']) {
      expectStatus(await ask(at('one', path), { token: forged }), 401)
    }
    const gke = await ask(CLUSTERS, { token: forged })
    expect(gke.body).toMatchObject({ error: { code: 401, status: 'UNAUTHENTICATED' } })
  })

  test('other ways to say who one is are not heard', async () => {
    const others: Record<string, string>[] = [
      { authorization: `Basic ${btoa(`admin:${ADMIN}`)}` },
      { authorization: ADMIN },
      { authorization: '', cookie: `token=${ADMIN}`, 'x-remote-user': 'admin' },
      {
        authorization: '',
        'sec-websocket-protocol': `base64url.bearer.authorization.k8s.io.${btoa(ADMIN)}`,
      },
    ]
    for (const headers of others) {
      expectStatus(await ask(at('one', `${DEFAULT}/pods`), { headers }), 401)
    }
    const asAdmin = { 'impersonate-user': 'admin', 'impersonate-group': 'system:masters' }
    expectStatus(await ask(at('one', `${DEFAULT}/secrets`), { headers: asAdmin }), 403)
    const query = `${DEFAULT}/pods?access_token=${ADMIN}&token=${ADMIN}`
    expectStatus(await ask(at('one', query), { token: '' }), 401)
  })

  test('what was stolen from a VM is worth nothing once the VM is gone', async () => {
    const [, victim = ''] = world.vms(ids.two)
    const stolen = await world.tokenOf(victim)
    const path = at('two', agent(victim, 'desired'))
    expect((await ask(path, { token: stolen })).status).toBe(200)
    await world.must('POST', `${CLUSTERS}/two/nodePools/default-pool:setSize`, { nodeCount: 1 })
    const left = (): string[] => world.vms(ids.two)
    await world.until('one VM', () => left().length === 1)
    await world.pass(60_000)
    const answer = await ask(path, { token: stolen })
    expect(left()).toEqual([stranger])
    expectStatus(answer, 401)
  })
})

describe('a VM that was taken over', () => {
  test('sees what its own pods use, and nothing of its neighbours', async () => {
    const { text, status } = await ask(at('one', agent(own, 'desired')))
    const desired: DesiredState = JSON.parse(text)
    expect(status).toBe(200)
    expect(desired.pods.map(({ metadata }) => metadata.name)).toEqual(['mine'])
    expect(desired.secrets.map(({ metadata }) => metadata.name)).toEqual(['mine'])
    expect(text).not.toContain(MARKER)
  })

  test.each([
    ['GET', agent('NEIGHBOUR', 'desired')],
    ['POST', agent('NEIGHBOUR', 'report')],
    ['GET', `${DEFAULT}/secrets`],
    ['GET', `${DEFAULT}/secrets/theirs`],
    ['GET', `${DEFAULT}/secrets/mine`],
    ['GET', '/api/v1/secrets?watch=true'],
    ['GET', '/api/v1/namespaces/kube-system/secrets/wherry-agent-token'],
    ['GET', `${DEFAULT}/configmaps`],
    ['GET', '/api/v1/pods'],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3DNEIGHBOUR'],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3DOWN%2Cmetadata.name%3Dtheirs'],
    ['GET', `${DEFAULT}/pods/theirs`],
    ['GET', `${DEFAULT}/pods/theirs/log`],
    ['GET', `${DEFAULT}/pods/mine/exec?command=sh`],
    ['DELETE', `${DEFAULT}/pods/theirs`],
    ['DELETE', `${DEFAULT}/pods`],
    ['PUT', `${DEFAULT}/pods/theirs/status`],
    ['PATCH', `${DEFAULT}/pods/mine`],
    ['POST', `${DEFAULT}/pods`],
    ['POST', `${DEFAULT}/pods/theirs/eviction`],
    ['POST', `${DEFAULT}/pods/mine/binding`],
    ['GET', '/api/v1/nodes'],
    ['GET', '/api/v1/nodes/NEIGHBOUR'],
    ['PATCH', '/api/v1/nodes/OWN'],
    ['PATCH', '/api/v1/nodes/NEIGHBOUR/status'],
    ['DELETE', '/api/v1/nodes/OWN'],
    ['POST', '/api/v1/nodes'],
    ['GET', '/apis/container.wherry.dev/v1/nodepools'],
    ['GET', '/apis/apps/v1/deployments'],
    ['POST', `${DEFAULT}/serviceaccounts/default/token`],
    ['POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
    ['GET', '/metrics'],
    ['GET', '/debug/pprof'],
  ])('may not %s %s', async (method, template) => {
    const path = template.replaceAll('NEIGHBOUR', neighbour).replaceAll('OWN', own)
    const body = method === 'GET' ? {} : { body: '{}' }
    expectStatus(await ask(at('one', path), { method, ...body }), 403)
  })

  test('a selector that is given twice shows nothing else', async () => {
    const select = (node: string): string => `fieldSelector=spec.nodeName%3D${node}`
    const path = `/api/v1/pods?${select(own)}&${select(neighbour)}`
    const { status, text } = await ask(at('one', path))
    expect([200, 403]).toContain(status)
    expect(text).not.toContain('theirs')
  })

  test('speaks to no other cluster, and not to the GKE API', async () => {
    for (const path of [agent(own, 'desired'), agent(stranger, 'desired'), '/version'])
      expectStatus(await ask(at('two', path)), 401)
    for (const method of ['GET', 'POST', 'DELETE'])
      expect((await ask(`${CLUSTERS}/one`, { method })).status).toBe(401)
  })

  test('tells of its own pods and Node only, whatever it writes', async () => {
    const before = JSON.stringify(world.list(ids.one, 'pods'))
    const theirs = world.list(ids.one, 'pods').find(({ metadata }) => metadata.name === 'theirs')
    const uid = theirs?.metadata.uid
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: neighbour }, spec: {} }
    const pods = [
      { namespace: 'default', name: 'theirs', uid, status: { phase: 'Failed' }, isGone: true },
      { namespace: '../kube-system', name: 'mine/status', uid, status: {} },
    ]
    const pollution =
      '"__proto__": {"polluted": "yes"}, "constructor": {"prototype": {"polluted": "yes"}}'
    const body = `{${pollution}, ${JSON.stringify({ node, pods }).slice(1)}`
    const { status, text } = await ask(at('one', agent(own, 'report')), { method: 'POST', body })
    expect(status, text).toBe(200)
    expect(JSON.parse(text).unknown).toHaveLength(2)
    expect(JSON.stringify(world.list(ids.one, 'pods'))).toBe(before)
    expect(world.list(ids.one, 'nodes')).toHaveLength(2)
    expect({}).not.toHaveProperty('polluted')
  })
})

test('refusals are logged to be counted, and nothing secret with them', () => {
  const lines = JSON.stringify(world.log.entries)
  for (const secret of secrets) expect(lines).not.toContain(secret)
  for (const entry of world.log.entries) expect(JSON.stringify(entry).length).toBeLessThan(2000)
  const refused = world.log.entries.filter(({ message }) => message === REFUSED)
  const codes = new Set(refused.map(({ fields }) => fields['code']))
  expect(codes).toEqual(new Set([401, 403]))
  expect(refused.length).toBeGreaterThan(100)
  expect(world.log.entries.filter(({ severity }) => severity === 'ERROR')).toEqual([])
})
