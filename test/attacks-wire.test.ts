// Paths and bodies that are made to confuse or to exhaust: all are refused soon, in the API's own words,
// and none is kept in memory beyond its bound.

import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serve, type RunningServer } from '#emulator/serve.ts'
import {
  agent,
  CLUSTERS,
  DEFAULT,
  expectStatus,
  MARKER,
  openTarget,
  type Answered,
  type Attempt,
  type Target,
} from './support/attacked.ts'
import { ADMIN } from './support/cloud-world.ts'

let world: Target['world']
let ids: Target['ids']
let own: string
let neighbour: string
let token: string
let ask: Target['ask']
let at: Target['at']

beforeAll(async () => {
  ;({ world, ids, own, neighbour, token, ask, at } = await openTarget())
}, 60_000)
afterAll(() => world?.close())

describe('paths', () => {
  let server: RunningServer

  beforeAll(async () => {
    server = await serve({ fetch: (raw) => world.fetch(raw) }, { host: '127.0.0.1', port: 0 })
  })
  afterAll(() => server?.close())

  /** Exactly this path on the wire: clients like fetch would tidy it up. */
  function raw(path: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const call = request(
        { port: server.port, path, headers: { authorization: `Bearer ${token}` } },
        (response) => {
          let text = ''
          response.on('data', (chunk: Buffer) => (text += chunk.toString()))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        },
      )
      // The server may hang up on a request that is too long before all of it is sent.
      call.on('error', (error) => {
        if ('code' in error && error.code === 'ECONNRESET') resolve({ status: 431, text: '' })
        else reject(error)
      })
      call.end()
    })
  }

  const mine = (): string => at('one', agent(own, 'desired'))

  test.each([
    ['up and down again', () => `${at('one', '')}/../${ids.two}${DEFAULT}/secrets`],
    ['encoded dots', () => `${at('one', '')}/%2e%2e/${ids.two}${DEFAULT}/secrets`],
    ['dots encoded twice', () => `${at('one', '')}/%252e%252e/${ids.two}${DEFAULT}/secrets`],
    ['an encoded slash', () => at('one', `${DEFAULT}%2Fsecrets`)],
    [
      'an encoded slash in a name',
      () => at('one', `${DEFAULT}/pods/mine%2F..%2F..%2Fsecrets%2Ftheirs`),
    ],
    ['an encoded slash in a node', () => at('one', agent(`${own}%2F..%2F${neighbour}`, 'desired'))],
    ['up from the own node', () => at('one', agent(`${own}/../${neighbour}`, 'desired'))],
    ['backslashes', () => at('one', `${DEFAULT.replaceAll('/', '\\')}\\secrets`)],
    ['two slashes', () => at('one', `/${DEFAULT}//secrets`)],
    ['slashes in front', () => `//${at('one', `${DEFAULT}/secrets`)}`],
    ['a whole URL', () => `http://evil.example${at('one', `${DEFAULT}/secrets`)}`],
    ['capitals', () => at('one', `${DEFAULT}/SECRETS`)],
    ['a semicolon', () => at('one', `${DEFAULT}/pods;/../secrets`)],
    ['a zero byte', () => at('one', `${DEFAULT}/secrets%00`)],
    ['half an escape', () => at('one', `${DEFAULT}/secrets/%E0%A4%A`)],
    [
      'the fleet as a cluster',
      () => '/clusters/wherry-fleet/apis/container.wherry.dev/v1/clusters',
    ],
    ['the sweep as a cluster', () => '/clusters/wherry-sweep/api/v1/pods'],
    ['the prototype as a kind', () => at('one', '/api/v1/__proto__')],
    ['the prototype as a namespace', () => at('one', '/api/v1/namespaces/__proto__/constructor')],
    ['no cluster', () => '/clusters//api/v1/pods'],
    ['a fragment', () => `${mine()}#/../${neighbour}/desired`.replace(own, neighbour)],
  ])('%s', async (_, path) => {
    const { status, text } = await raw(path())
    expect([400, 401, 403, 404], text).toContain(status)
    expect(text).not.toContain(MARKER)
    expect(text).not.toContain('theirs"}')
  })

  test.each([
    ['long', () => at('one', `${DEFAULT}/pods/${'a'.repeat(12_000)}`)],
    ['deep', () => at('one', '/a'.repeat(6000))],
    ['too long for a server', () => at('one', `${DEFAULT}/pods/${'a'.repeat(100_000)}`)],
    ['with many parameters', () => at('one', `${DEFAULT}/secrets?${'a=b&'.repeat(3000)}`)],
    [
      'with a selector without end',
      () => at('one', `${DEFAULT}/secrets?labelSelector=${'a%20in%20('.repeat(1000)}`),
    ],
  ])('%s', async (_, path) => {
    const start = performance.now()
    const { status, text } = await raw(path())
    expect([400, 403, 404, 414, 431], text.slice(0, 200)).toContain(status)
    expect(performance.now() - start).toBeLessThan(1000)
    expect(text).not.toContain(MARKER)
  })
})

describe('bodies', () => {
  const configMaps = (): string => at('one', `${DEFAULT}/configmaps`)
  const post = (attempt: Attempt): Promise<Answered> =>
    ask(configMaps(), { method: 'POST', token: ADMIN, ...attempt })
  const json = 'application/json'
  const count = (): number => world.list(ids.one, 'configmaps').length

  const deep = (depth: number, open: string, close: string): string =>
    `{"metadata":{"name":"deep"},"data":${open.repeat(depth)}1${close.repeat(depth)}}`
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]
${Array.from({ length: 12 }, (_, n) => {
  const letter = String.fromCharCode(98 + n)
  const before = `*${String.fromCharCode(97 + n)}`
  return `${letter}: &${letter} [${Array(9).fill(before).join(',')}]`
}).join('\n')}
metadata: { name: bomb }
data: { all: *m }
`

  test.each<[string, string, string | Buffer, ...number[]]>([
    ['too large', json, `{"metadata":{"name":"x"},"data":{"a":"${'x'.repeat(4_000_000)}"}}`, 413],
    [
      'too large for an object',
      json,
      `{"metadata":{"name":"x"},"data":{"a":"${'x'.repeat(2_000_000)}"}}`,
      413,
      422,
    ],
    ['empty', json, '', 400, 422],
    ['no JSON', json, '{"metadata":', 400],
    ['no object', json, '[[]]', 400],
    ['null', json, 'null', 400],
    ['deep', json, deep(200_000, '[', ']'), 400, 413, 422],
    ['deep objects', json, deep(100_000, '{"a":', '}'), 400, 413, 422],
    ['not UTF-8', json, Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
    ['packed', json, Buffer.from('1f8b0800000000000003', 'hex'), 400],
    ['another kind', json, '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}', 400],
    ['a name that climbs', json, '{"metadata":{"name":"../../secrets/x"}}', 422],
    ['a name as long as a book', json, `{"metadata":{"name":"${'x'.repeat(100_000)}"}}`, 422],
    [
      'the namespace of somebody else',
      json,
      '{"metadata":{"name":"x","namespace":"kube-system"}}',
      400,
    ],
    ['numbers for texts', json, '{"metadata":{"name":1e400},"data":{"a":{}}}', 400, 422],
    ['a YAML bomb', 'application/yaml', bomb, 400],
    ['a YAML tag', 'application/yaml', 'metadata: !!js/function "function(){}"', 400, 422],
    ['protobuf that is none', 'application/vnd.kubernetes.protobuf', 'k8s\0rubbish', 400],
    [
      'protobuf with a length without end',
      'application/vnd.kubernetes.protobuf',
      Buffer.from('6b3873000affffffffffffffff7f', 'hex'),
      400,
    ],
    ['plain text', 'text/plain', '{"metadata":{"name":"x"}}', 415],
    ['a form', 'application/x-www-form-urlencoded', 'metadata[name]=x', 415],
    ['many parts', 'multipart/form-data; boundary=x', '--x--', 415],
    [
      'XML',
      'application/xml',
      '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
      415,
    ],
    ['a type without end', `application/${'x'.repeat(9000)}`, '{}', 415],
  ])('%s', async (_, type, body, ...codes) => {
    const before = count()
    const start = performance.now()
    expectStatus(await post({ body, headers: { 'content-type': type } }), ...codes)
    expect(performance.now() - start).toBeLessThan(3000)
    expect(count()).toBe(before)
  })

  test('what promises to be too large is not even read', async () => {
    const headers = { 'content-length': String(10 ** 12) }
    expectStatus(await post({ body: '{}', headers }), 413)
  })

  /** Says how much of it was taken. */
  function endless(): { body: ReadableStream<Uint8Array>; taken: () => number } {
    let taken = 0
    const chunk = new Uint8Array(65_536).fill(32)
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        taken += chunk.length
        controller.enqueue(chunk)
      },
    })
    return { body, taken: () => taken }
  }

  test('a body without end is cut off at the limit', async () => {
    const kubernetes = endless()
    expectStatus(await post({ body: kubernetes.body }), 413)
    expect(kubernetes.taken()).toBeLessThan(4_000_000)
    const gke = endless()
    const answer = await ask(CLUSTERS, { method: 'POST', token: ADMIN, body: gke.body })
    expect(answer.body).toMatchObject({ error: { code: 400, status: 'INVALID_ARGUMENT' } })
    expect(gke.taken()).toBeLessThan(2_000_000)
  })

  test('of a stranger nothing is read', async () => {
    const { body, taken } = endless()
    expectStatus(await ask(configMaps(), { method: 'POST', token: 'x', body }), 401)
    expect(taken()).toBeLessThanOrEqual(65_536)
  })

  test('a body that does not go on is answered after a minute', async () => {
    const silent = (): ReadableStream<Uint8Array> =>
      new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([123])) })
    const kubernetes = post({ body: silent() })
    const gke = ask(CLUSTERS, { method: 'POST', token: ADMIN, body: silent() })
    await world.pass(61_000)
    expectStatus(await kubernetes, 504)
    expect((await gke).body).toMatchObject({ error: { code: 504, status: 'DEADLINE_EXCEEDED' } })
  })
})
