// The OpenAPI documents hold together, and real kubectl explains and validates by them.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CATALOG } from '#shared/api/catalog.ts'
import { GIT_VERSION } from '#shared/version.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { apiVersionOf } from '#shared/api/kind.ts'
import { isObject } from '#shared/patch/json.ts'
import { kubectl, runClient } from '#test/clients.ts'
import { startRecordingServer, type Answer, type RecordingServer } from '#test/recording-server.ts'
import { createOpenApi } from './openapi.ts'

const openApi = createOpenApi(CATALOG)

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  const url = new URL(path, 'http://server')
  const response = await openApi.respond(
    { path: url.pathname, query: url.searchParams },
    new Headers(headers),
  )
  if (!response) throw new Error(`${path} is no OpenAPI path`)
  return response
}

interface Index {
  paths: Record<string, { serverRelativeURL: string }>
}

async function index(): Promise<Index> {
  return JSON.parse(await (await get('/openapi/v3')).text())
}

const SERVED = CATALOG.map((kind) => ({
  ...kind,
  subresources: kind.subresources.map(({ name }) => name),
}))

describe('documents', () => {
  test('every kind of the catalog has a schema', () => {
    for (const { group, version, kind } of CATALOG) {
      expect(schemaOf(group, version, kind), `${group}/${version} ${kind}`).toBeDefined()
    }
  })

  test('the index names a document for every group and version, immutable under its hash', async () => {
    const { paths } = await index()
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['api/v1', 'apis/apps/v1', 'apis/container.wherry.dev/v1']),
    )
    for (const { serverRelativeURL } of Object.values(paths)) {
      const response = await get(serverRelativeURL)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.get('cache-control')).toContain('immutable')
      const etag = response.headers.get('etag') ?? ''
      expect((await get(serverRelativeURL, { 'if-none-match': etag })).status).toBe(304)
    }
    expect((await get('/openapi/v3/api/v1')).headers.get('cache-control')).toBeNull()
    await expect(get('/openapi/v3/apis/none/v1')).rejects.toThrow('no OpenAPI path')
  })

  test('every reference leads somewhere', async () => {
    const { paths } = await index()
    for (const name of Object.keys(paths)) {
      const text = await (await get(`/openapi/v3/${name}`)).text()
      const document: { components: { schemas: Record<string, unknown> } } = JSON.parse(text)
      for (const [, target = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
        expect(document.components.schemas, name).toHaveProperty([target])
      }
    }
  })

  test('merge keys, list types and descriptions are published', async () => {
    const document: unknown = await (await get('/openapi/v3/apis/apps/v1')).json()
    expect(document).toMatchObject({
      components: {
        schemas: {
          'io.k8s.api.core.v1.PodSpec': {
            required: ['containers'],
            properties: {
              containers: {
                description: expect.stringContaining('List of containers'),
                'x-kubernetes-patch-strategy': 'merge',
                'x-kubernetes-patch-merge-key': 'name',
                'x-kubernetes-list-type': 'map',
                'x-kubernetes-list-map-keys': ['name'],
              },
            },
          },
          'io.k8s.api.apps.v1.Deployment': {
            'x-kubernetes-group-version-kind': [
              { group: 'apps', version: 'v1', kind: 'Deployment' },
            ],
          },
        },
      },
    })
  })

  test('the v2 document is 28 bytes and a few for the version', async () => {
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
    const response = await get('/openapi/v2', { accept })
    expect(response.headers.get('content-type')).toBe(
      'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
    )
    const bytes = Buffer.from(await response.arrayBuffer())
    const version = Buffer.from(GIT_VERSION)
    expect(bytes).toEqual(
      Buffer.concat([
        Buffer.from([0x0a, 3]),
        Buffer.from('2.0'),
        Buffer.from([0x12, 14 + version.length, 0x0a, 10]),
        Buffer.from('Kubernetes'),
        Buffer.from([0x12, version.length]),
        version,
      ]),
    )
    expect(await (await get('/openapi/v2')).json()).toMatchObject({ swagger: '2.0' })
  })
})

describe('real kubectl', () => {
  const home = mkdtempSync(join(tmpdir(), 'wherry-openapi-'))
  const stored = new Map<string, unknown>()
  let server: RecordingServer
  let documents: Map<string, Answer>

  beforeAll(async () => {
    documents = new Map()
    const { paths } = await index()
    documents.set('/openapi/v3', { code: 200, body: { paths } })
    const accept = 'application/com.github.proto-openapi.spec.v2'
    const v2 = await get('/openapi/v2', { accept })
    documents.set('/openapi/v2', {
      code: 200,
      body: Buffer.from(await v2.arrayBuffer()),
      contentType: v2.headers.get('content-type') ?? '',
    })
    for (const name of Object.keys(paths)) {
      const body: unknown = await (await get(`/openapi/v3/${name}`)).json()
      documents.set(`/openapi/v3/${name}`, { code: 200, body })
    }
    server = await startRecordingServer(SERVED, (request) => {
      if (request.method === 'POST') {
        const object: unknown = JSON.parse(request.body.toString())
        if (isObject(object) && isObject(object['metadata'])) {
          stored.set(`${request.path}/${String(object['metadata']['name'])}`, object)
        }
        return { code: 201, body: object }
      }
      const object = stored.get(request.path)
      return documents.get(request.path) ?? (object ? { code: 200, body: object } : undefined)
    })
  })
  afterAll(async () => {
    await server.close()
    rmSync(home, { recursive: true })
  })
  const run = (version: '1.35' | '1.32', args: string[], input = '') =>
    runClient(kubectl(version), ['--server', server.url, ...args], { home, input })

  test.for(['1.35', '1.32'] as const)('explain, kubectl %s', async (version) => {
    const pod = await run(version, [
      'explain',
      'deployments.spec.template.spec.containers.resources',
    ])
    expect(pod).toMatchObject({ code: 0, stderr: '' })
    expect(pod.stdout).toContain('FIELD: resources <ResourceRequirements>')
    expect(pod.stdout).toMatch(/limits\s+<map\[string\]Quantity>/)
    const spec = await run(version, ['explain', 'deployment.spec'])
    expect(spec.stdout).toMatch(/template\s+<PodTemplateSpec> -required-/)
    expect(spec.stdout).toContain('Number of desired pods.')
    const pool = await run(version, ['explain', 'nodepools.spec.taints'])
    expect(pool.stdout).toContain('FIELD: taints <[]Taint>')
    for (const kind of CATALOG) {
      const args = ['explain', kind.plural, '--recursive', '--api-version', apiVersionOf(kind)]
      expect(await run(version, args), kind.plural).toMatchObject({ code: 0, stderr: '' })
    }
  })

  const manifest = (env: object[]): string =>
    JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        selector: { matchLabels: { run: 'web' } },
        template: {
          metadata: { labels: { run: 'web' } },
          spec: { containers: [{ name: 'web', image: 'x', env }] },
        },
      },
    })

  test.for(['1.35', '1.32'] as const)(
    'apply, kubectl %s: a patch by merge keys',
    async (version) => {
      stored.clear()
      const two = manifest([
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ])
      expect(await run(version, ['apply', '-f', '-'], two)).toMatchObject({ code: 0, stderr: '' })
      await run(version, ['apply', '-f', '-'], manifest([{ name: 'A', value: '3' }]))
      const patch = server.requests.findLast((each) => each.method === 'PATCH')
      expect(patch?.contentType).toBe('application/strategic-merge-patch+json')
      expect(patch?.query.get('fieldValidation')).toBe('Strict')
      expect(JSON.parse(patch?.body.toString() ?? '')).toMatchObject({
        spec: {
          template: {
            spec: {
              '$setElementOrder/containers': [{ name: 'web' }],
              containers: [
                {
                  name: 'web',
                  '$setElementOrder/env': [{ name: 'A' }],
                  env: [
                    { name: 'A', value: '3' },
                    { $patch: 'delete', name: 'B' },
                  ],
                },
              ],
            },
          },
        },
      })
    },
  )

  test.for(['1.35', '1.32'] as const)('a List and a node pool, kubectl %s', async (version) => {
    stored.clear()
    const list = `{"apiVersion":"v1","kind":"List","items":[${manifest([])}]}`
    expect(await run(version, ['create', '-f', '-'], list)).toMatchObject({ code: 0, stderr: '' })
    const pool = JSON.stringify({
      apiVersion: 'container.wherry.dev/v1',
      kind: 'NodePool',
      metadata: { name: 'p' },
      spec: { nodeCount: 1 },
    })
    expect(await run(version, ['apply', '-f', '-'], pool)).toMatchObject({ code: 0, stderr: '' })
  })
})
