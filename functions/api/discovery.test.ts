import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestApi, type TestApi } from '#test/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await createTestApi()
})
afterAll(() => api.close())

const group = (version: string): string =>
  `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
/** kubectl 1.30 and newer. */
const NEW = `${group('v2')},${group('v2beta1')},application/json`
/** kubectl 1.27 to 1.29. */
const OLD = `${group('v2beta1')},application/json`

const get = (path: string, headers: Record<string, string> = {}) =>
  api.call('GET', path, { headers })

/** A document as a file for people. To renew the files: vitest -u. */
async function expectGolden(path: string, accept: string, file: string): Promise<void> {
  const { body } = await get(path, { accept })
  const text = `${JSON.stringify(body, null, 1)}\n`
  await expect(text).toMatchFileSnapshot(`../../test/golden/discovery/${file}.golden`)
}

describe('aggregated discovery', () => {
  it.each([
    ['/api', 'api-v2'],
    ['/apis', 'apis-v2'],
  ])('%s is as it was', (path, file) => expectGolden(path, NEW, file))

  it.each([
    [NEW, 'v2'],
    [OLD, 'v2beta1'],
    [group('v2'), 'v2'],
  ])('%s', async (accept, version) => {
    for (const path of ['/api', '/apis']) {
      const { body, headers } = await get(path, { accept })
      expect(headers.get('content-type')).toBe(group(version))
      expect(headers.get('vary')).toBe('Accept')
      expect(body).toMatchObject({
        kind: 'APIGroupDiscoveryList',
        apiVersion: `apidiscovery.k8s.io/${version}`,
      })
    }
  })

  it('is not sent again to who has it', async () => {
    const { headers } = await get('/apis', { accept: NEW })
    const etag = headers.get('etag') ?? ''
    const again = await get('/apis', { accept: NEW, 'if-none-match': etag })
    expect([again.status, again.text]).toEqual([304, ''])
    expect((await get('/apis', { accept: OLD, 'if-none-match': etag })).status).toBe(200)
  })
})

describe('long documents', () => {
  it('are compressed for who can read that', async () => {
    const response = await api.open('/openapi/v3/api/v1', {
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    const packed = Buffer.from(await response.arrayBuffer())
    const plain = await get('/openapi/v3/api/v1')
    expect(packed.length).toBeLessThan(plain.text.length / 3)
    expect(JSON.parse(gunzipSync(packed).toString())).toEqual(plain.body)
  })
})

describe('legacy discovery', () => {
  it.each([
    ['/api', 'api'],
    ['/apis', 'apis'],
    ['/api/v1', 'api-v1'],
    ['/apis/apps', 'apis-apps'],
    ['/apis/apps/v1', 'apis-apps-v1'],
  ])('%s is as it was', (path, file) => expectGolden(path, 'application/json, */*', file))

  it('lists under each group what the aggregated form lists', async () => {
    const { body } = await get('/apis', { accept: NEW })
    const items = body['items'] as {
      metadata: { name: string }
      versions: { version: string; resources: { resource: string }[] }[]
    }[]
    expect(items.length).toBeGreaterThan(5)
    for (const { metadata, versions } of items) {
      for (const { version, resources } of versions) {
        const legacy = await get(`/apis/${metadata.name}/${version}`)
        const names = (legacy.body['resources'] as { name: string }[]).map(({ name }) => name)
        expect(names.filter((name) => !name.includes('/'))).toEqual(
          resources.map(({ resource }) => resource),
        )
      }
    }
  })

  it('knows no groups that are not there', async () => {
    for (const path of ['/apis/none', '/apis/apps/v9', '/api/v2']) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
  })
})
