// The same patch, applied by real kubectl (which carries Kubernetes' Go code and runs it with
// --local) and by Wherry: one answer.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { prune } from '#shared/api/schema/prune.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { applyMergePatch } from '#shared/patch/merge-patch.ts'
import { applyStrategicMergePatch } from '#shared/patch/strategic-merge-patch.ts'
import { kubectl, runClient } from '#test/clients.ts'
import { applyJsonPatch } from './json-patch.ts'

const home = mkdtempSync(join(tmpdir(), 'wherry-patches-'))
afterAll(() => rmSync(home, { recursive: true }))

const schema = schemaOf('apps', 'v1', 'Deployment')
if (!schema) throw new Error('no schema of Deployment')

const DEPLOYMENT: JsonObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'web',
    labels: { a: '1', b: '2' },
    finalizers: ['example.com/a', 'example.com/b', 'example.com/c'],
  },
  spec: {
    replicas: 2,
    selector: { matchLabels: { run: 'web' } },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: '25%' } },
    template: {
      metadata: { labels: { run: 'web' } },
      spec: {
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'a', operator: 'Exists' }],
        volumes: [
          { name: 'one', emptyDir: {} },
          { name: 'two', configMap: { name: 'c' } },
        ],
        containers: [
          {
            name: 'a',
            image: 'x:1',
            args: ['1', '2'],
            ports: [{ containerPort: 80, name: 'http' }, { containerPort: 443 }],
            env: [
              { name: 'A', value: '1' },
              { name: 'B', value: '2' },
              { name: 'C', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            ],
          },
          { name: 'b', image: 'y:1' },
        ],
      },
    },
  },
}

type PatchType = 'strategic' | 'merge' | 'json'

async function byKubectl(type: PatchType, patch: unknown): Promise<unknown> {
  const file = join(home, 'deployment.json')
  writeFileSync(file, JSON.stringify(DEPLOYMENT))
  const patchFile = join(home, 'patch.json')
  writeFileSync(patchFile, JSON.stringify(patch))
  const result = await runClient(
    kubectl(),
    ['patch', '--local', '-f', file, '--type', type, '--patch-file', patchFile, '-o', 'json'],
    { home },
  )
  if (result.code !== 0) return { refused: result.stderr }
  const output: unknown = JSON.parse(result.stdout)
  return isObject(output) && schema ? prune(output, schema) : output
}

function byWherry(type: PatchType, patch: unknown): unknown {
  try {
    const result =
      type === 'json'
        ? applyJsonPatch(DEPLOYMENT, patch)
        : !isObject(patch)
          ? {}
          : type === 'merge'
            ? applyMergePatch(DEPLOYMENT, patch)
            : applyStrategicMergePatch(DEPLOYMENT, patch, schema)
    return schema ? prune(result, schema) : result
  } catch (error) {
    return { refused: String(error) }
  }
}

const inTemplate = (spec: JsonObject): JsonObject => ({ spec: { template: { spec } } })
const inContainer = (fields: JsonObject): JsonObject =>
  inTemplate({ containers: [{ name: 'a', ...fields }] })

const STRATEGIC: JsonObject[] = [
  { spec: { replicas: 5, paused: true } },
  { metadata: { labels: { a: null, c: '3' }, annotations: { x: 'y' } } },
  inTemplate({ containers: [{ name: 'c', image: 'z' }] }),
  inTemplate({
    containers: [{ name: 'b', image: 'y:2' }, { name: 'c' }, { name: 'a', image: 'q' }],
  }),
  inTemplate({ containers: [{ name: 'a', $patch: 'delete' }] }),
  inTemplate({ containers: [{ $patch: 'replace' }, { name: 'only', image: 'z' }] }),
  inTemplate({ tolerations: [{ key: 'z' }], nodeSelector: { disk: null, cpu: 'fast' } }),
  inTemplate({ nodeSelector: { $patch: 'replace', cpu: 'fast' } }),
  inTemplate({ securityContext: { runAsUser: 1, runAsGroup: null } }),
  inContainer({ args: ['3'], env: [{ name: 'Z' }, { name: 'B', value: '9' }] }),
  inContainer({
    env: [{ name: 'A', value: null, valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
  }),
  inContainer({ env: null }),
  inContainer({
    env: [
      { name: 'C', $patch: 'delete' },
      { name: 'D', value: '4' },
    ],
  }),
  inContainer({
    '$setElementOrder/env': [{ name: 'D' }, { name: 'C' }, { name: 'A' }],
    env: [
      { name: 'D', value: '4' },
      { name: 'B', $patch: 'delete' },
    ],
  }),
  inContainer({
    '$setElementOrder/ports': [{ containerPort: 443 }, { containerPort: 8080 }],
    ports: [{ containerPort: 8080 }],
  }),
  inContainer({ '$setElementOrder/volumeMounts': [{ mountPath: '/x' }] }),
  inContainer({ '$setElementOrder/env': [{ name: 'C' }, { name: 'B' }, { name: 'A' }] }),
  inTemplate({
    volumes: [{ name: 'one', $retainKeys: ['name', 'secret'], secret: { secretName: 's' } }],
  }),
  { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
  { spec: { strategy: { type: 'Recreate', rollingUpdate: null } } },
  { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate', rollingUpdate: null } } },
  { metadata: { finalizers: ['example.com/d', 'example.com/b'] } },
  { metadata: { '$deleteFromPrimitiveList/finalizers': ['example.com/b'] } },
  {
    metadata: {
      '$deleteFromPrimitiveList/finalizers': ['example.com/b'],
      '$setElementOrder/finalizers': ['example.com/c', 'example.com/d', 'example.com/a'],
      finalizers: ['example.com/d'],
    },
  },
  { metadata: { ownerReferences: [{ uid: 'u', kind: 'K', name: 'n', apiVersion: 'v1' }] } },
  { spec: { selector: { $patch: 'delete' } } },
  { spec: { template: { $patch: 'replace', spec: { containers: [{ name: 'z' }] } } } },
]

const JSON_PATCHES: JsonObject[][] = [
  [{ op: 'replace', path: '/spec/replicas', value: 7 }],
  [{ op: 'replace', path: '/metadata/annotations', value: { a: 'b' } }],
  [{ op: 'add', path: '/spec/template/spec/containers/0/args/-', value: '3' }],
  [{ op: 'add', path: '/spec/template/spec/containers/0/args/0', value: '0' }],
  [{ op: 'move', from: '/metadata/labels/a', path: '/metadata/labels/z' }],
  [{ op: 'copy', from: '/metadata/labels/a', path: '/metadata/labels/z~1z' }],
  [{ op: 'remove', path: '/spec/template/spec/containers/1' }],
  [
    { op: 'test', path: '/metadata/labels/a', value: '1' },
    { op: 'remove', path: '/spec/replicas' },
  ],
]

const REFUSED: [PatchType, unknown][] = [
  ['json', [{ op: 'test', path: '/metadata/labels/a', value: '2' }]],
  ['json', [{ op: 'remove', path: '/metadata/labels/zz' }]],
  ['json', [{ op: 'replace', path: '/spec/none/hostname', value: 'x' }]],
  ['json', [{ op: 'replace', path: '/metadata/finalizers/7', value: 'x' }]],
  ['json', [{ op: 'add', path: '/spec/template/spec/containers/9', value: {} }]],
  ['strategic', { spec: { $patch: 'explode' } }],
  ['strategic', inTemplate({ containers: [{ image: 'x' }] })],
  ['strategic', inTemplate({ containers: [{ name: 'a', $patch: 'explode' }] })],
  ['strategic', { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } }],
]

describe('kubectl patch --local', () => {
  test.for(STRATEGIC)('strategic %j', async (patch) => {
    const expected = await byKubectl('strategic', patch)
    expect(expected).not.toHaveProperty('refused')
    expect(byWherry('strategic', patch)).toEqual(expected)
  })

  test.for(JSON_PATCHES.map((operations) => ({ operations })))(
    'json %j',
    async ({ operations }) => {
      const expected = await byKubectl('json', operations)
      expect(expected).not.toHaveProperty('refused')
      expect(byWherry('json', operations)).toEqual(expected)
    },
  )

  test.for([
    { spec: { template: { spec: { containers: [{ name: 'z', image: 'q' }] } } } },
    { metadata: { labels: { a: null, q: 'r' }, annotations: {} }, spec: { replicas: null } },
  ])('merge %j', async (patch) => {
    expect(byWherry('merge', patch)).toEqual(await byKubectl('merge', patch))
  })

  test.for(REFUSED)('both refuse %s %j', async ([type, patch]) => {
    expect(await byKubectl(type, patch)).toHaveProperty('refused')
    expect(byWherry(type, patch)).toHaveProperty('refused')
  })

  test('any changes of env and finalizers', async () => {
    const name = fc.constantFrom('A', 'B', 'C', 'D', 'E')
    const entry = fc.oneof(
      name.map((each) => ({ name: each, value: 'new' })),
      name.map((each) => ({ name: each, $patch: 'delete' })),
    )
    const patch = fc.record({
      env: fc.uniqueArray(entry, { selector: (each) => each.name }),
      order: fc.option(fc.shuffledSubarray(['A', 'B', 'C', 'D', 'E'], { minLength: 1 })),
      finalizers: fc.uniqueArray(fc.constantFrom('x/a', 'x/b', 'example.com/b', 'example.com/c')),
    })
    await fc.assert(
      fc.asyncProperty(patch, async ({ env, order, finalizers }) => {
        const set = order ? { '$setElementOrder/env': order.map((each) => ({ name: each })) } : {}
        const body = { metadata: { finalizers }, ...inContainer({ ...set, env }) }
        const [kubernetes, wherry] = [
          await byKubectl('strategic', body),
          byWherry('strategic', body),
        ]
        if (isObject(kubernetes) && 'refused' in kubernetes) {
          expect(wherry).toHaveProperty('refused')
        } else expect(wherry).toEqual(kubernetes)
      }),
      { numRuns: 40 },
    )
  })
})
