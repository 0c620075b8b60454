// What real kubectl sends for `apply`, client-side and server-side, applied by Wherry's patches: the
// object becomes the manifest, whatever it was before.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CATALOG } from '#shared/api/catalog.ts'
import { prune } from '#shared/api/schema/prune.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { managersOf, trackUpdate } from '#shared/patch/managed-fields.ts'
import { serverSideApply } from '#shared/patch/server-side-apply.ts'
import { applyStrategicMergePatch } from '#shared/patch/strategic-merge-patch.ts'
import { StatusError } from '#shared/status.ts'
import { kubectl, runClient } from '#test/clients.ts'
import {
  startRecordingServer,
  type Answer,
  type RecordedRequest,
  type RecordingServer,
} from '#test/recording-server.ts'
import { applyJsonPatch } from './json-patch.ts'
import { createOpenApi } from './openapi/openapi.ts'

const schema = schemaOf('apps', 'v1', 'Deployment')
if (!schema) throw new Error('no schema of Deployment')

const PATH = '/apis/apps/v1/namespaces/default/deployments/web'
const NOW = 1_800_000_000_000
const home = mkdtempSync(join(tmpdir(), 'wherry-apply-'))

let server: RecordingServer
let live: JsonObject | undefined
const documents = new Map<string, unknown>()

/** The smallest server that can be applied to: one Deployment. */
function answer(request: RecordedRequest): Answer | undefined {
  const document = documents.get(request.path)
  if (document) return { code: 200, body: document }
  if (request.method === 'GET') {
    return request.path === PATH && live ? { code: 200, body: live } : undefined
  }
  try {
    const isNew = live === undefined
    live = { ...written(request) }
    return { code: isNew ? 201 : 200, body: live }
  } catch (error) {
    if (error instanceof StatusError) return { code: error.code, body: error }
    throw error
  }
}

function written(request: RecordedRequest): JsonObject {
  const manager = request.query.get('fieldManager') ?? 'unknown'
  const body: unknown = JSON.parse(request.body.toString())
  const shared = { manager, apiVersion: 'apps/v1', subresource: '', schema: schema!, now: NOW }
  if (request.contentType === 'application/apply-patch+yaml' && isObject(body)) {
    const force = request.query.get('force') === 'true'
    return serverSideApply({ ...shared, live, applied: body, force }).object
  }
  const before = live ?? {}
  const after =
    request.contentType === 'application/json-patch+json'
      ? applyJsonPatch(before, body)
      : !isObject(body)
        ? {}
        : request.method === 'POST'
          ? body
          : applyStrategicMergePatch(before, body, schema)
  return trackUpdate({ ...shared, before: live, after: prune(after, schema!) })
}

beforeAll(async () => {
  const openApi = createOpenApi(CATALOG)
  for (const path of ['/openapi/v3', '/openapi/v3/apis/apps/v1', '/openapi/v3/api/v1']) {
    const response = await openApi.respond({ path, query: new URLSearchParams() }, new Headers())
    documents.set(path, await response?.json())
  }
  const served = CATALOG.map((kind) => ({ ...kind, subresources: [] }))
  server = await startRecordingServer(served, answer)
})
beforeEach(() => {
  live = undefined
})
afterAll(async () => {
  await server.close()
  rmSync(home, { recursive: true })
})

function manifest(spec: JsonObject, container: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      selector: { matchLabels: { run: 'web' } },
      ...spec,
      template: {
        metadata: { labels: { run: 'web' } },
        spec: { containers: [{ name: 'web', image: 'x', ...container }] },
      },
    },
  }
}

function apply(version: '1.35' | '1.32', object: JsonObject, ...flags: string[]) {
  return runClient(kubectl(version), ['--server', server.url, 'apply', '-f', '-', ...flags], {
    home,
    input: JSON.stringify(object),
  })
}

const env = (...pairs: [string, string][]): JsonObject[] =>
  pairs.map(([name, value]) => ({ name, value }))

describe.each(['1.35', '1.32'] as const)('kubectl %s', (version) => {
  test('apply: created, changed, unchanged', async () => {
    const one = manifest(
      { replicas: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } } },
      { env: env(['A', '1'], ['B', '2']), args: ['x'], ports: [{ containerPort: 80 }] },
    )
    expect((await apply(version, one)).stdout).toBe('deployment.apps/web created\n')
    expect(live?.['spec']).toEqual(one['spec'])
    const two = manifest(
      { strategy: { type: 'Recreate' } },
      { env: env(['C', '3'], ['A', '9']), ports: [{ containerPort: 81 }] },
    )
    expect((await apply(version, two)).stdout).toBe('deployment.apps/web configured\n')
    expect(live?.['spec']).toEqual(two['spec'])
    expect((await apply(version, two)).stdout).toBe('deployment.apps/web unchanged\n')
  })

  test('apply --server-side: created, changed, with the second manager of before', async () => {
    const one = manifest({ replicas: 1 }, { env: env(['A', '1'], ['B', '2']) })
    const first = await apply(version, one, '--server-side')
    expect(first.stdout).toBe('deployment.apps/web serverside-applied\n')
    expect(live?.['spec']).toEqual(one['spec'])
    const two = manifest({}, { env: env(['B', '3']), args: ['x'] })
    expect((await apply(version, two, '--server-side')).code).toBe(0)
    expect(live?.['spec']).toEqual(two['spec'])
  })

  test('apply --server-side over another manager: refused, then forced', async () => {
    await apply(version, manifest({ replicas: 1 }), '--server-side', '--field-manager=first')
    const refused = await apply(version, manifest({ replicas: 2 }), '--server-side')
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain(
      'Apply failed with 1 conflict: conflict with "first": .spec.replicas',
    )
    const flags = ['--server-side', '--force-conflicts']
    expect((await apply(version, manifest({ replicas: 2 }), ...flags)).code).toBe(0)
    expect(live?.['spec']).toMatchObject({ replicas: 2 })
  })

  test('from client-side to server-side: what was applied before can be removed', async () => {
    await apply(version, manifest({ replicas: 1 }, { env: env(['A', '1']) }))
    const migrated = await apply(version, manifest({ replicas: 1 }), '--server-side')
    expect(migrated).toMatchObject({ code: 0, stderr: '' })
    expect(live?.['spec']).toEqual(manifest({ replicas: 1 })['spec'])
    expect(managersOf(live).map(({ name }) => name)).not.toContain('kubectl-client-side-apply')
  })
})

test('any manifest after any other', async () => {
  const container = fc.record(
    {
      env: fc.uniqueArray(
        fc.record({ name: fc.constantFrom('A', 'B', 'C', 'D'), value: fc.constantFrom('1', '2') }),
        { selector: (each) => each.name, minLength: 1 },
      ),
      args: fc.array(fc.constantFrom('x', 'y'), { minLength: 1, maxLength: 2 }),
      ports: fc.uniqueArray(fc.record({ containerPort: fc.integer({ min: 80, max: 83 }) }), {
        selector: (each) => each.containerPort,
        minLength: 1,
      }),
    },
    { requiredKeys: [] },
  )
  const spec = fc.record({ replicas: fc.integer({ min: 1, max: 3 }) }, { requiredKeys: [] })
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      spec,
      container,
      spec,
      container,
      async (isServerSide, ...parts) => {
        live = undefined
        const flags = isServerSide ? ['--server-side'] : []
        const plain = (value: unknown): JsonObject => JSON.parse(JSON.stringify(value))
        const one = manifest(plain(parts[0]), plain(parts[1]))
        const two = manifest(plain(parts[2]), plain(parts[3]))
        expect(await apply('1.35', one, ...flags)).toMatchObject({ code: 0 })
        expect(live?.['spec']).toEqual(one['spec'])
        expect(await apply('1.35', two, ...flags)).toMatchObject({ code: 0 })
        expect(live?.['spec']).toEqual(two['spec'])
      },
    ),
    { numRuns: 12 },
  )
})
