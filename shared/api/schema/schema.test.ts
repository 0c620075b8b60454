// The generated data knows Kubernetes' types, and objects are checked and pruned by it.

import { expect, test } from 'vitest'
import { decodeObject } from './decode.ts'
import { duplicateFields } from './duplicate-fields.ts'
import { OWN_TYPES } from './own-kinds.ts'
import { normalise, prune } from './prune.ts'
import kubernetes from './kubernetes.json' with { type: 'json' }
import { schemaOf, structSchema } from './schema.ts'
import { strictCheck } from './strict-check.ts'

function schema(group: string, version: string, kind: string) {
  const found = schemaOf(group, version, kind)
  if (!found) throw new Error(`no schema for ${kind}`)
  return found
}
const deployment = schema('apps', 'v1', 'Deployment')
const pod = schema('', 'v1', 'Pod')
const service = schema('', 'v1', 'Service')

test('every type that is referred to is there, and no protobuf number twice', () => {
  for (const name of [...Object.keys(kubernetes), ...Object.keys(OWN_TYPES)]) {
    const type = structSchema(name)
    expect(type?.fields.size).toBeGreaterThanOrEqual(0)
    const numbers = type?.wireFields.map((field) => field.number).filter((number) => number > 0)
    expect(new Set(numbers).size, name).toBe(numbers?.length)
  }
})

test('facts of a field', () => {
  const spec = structSchema('apps/v1.DeploymentSpec')
  expect(spec?.fields.get('replicas')).toMatchObject({ number: 1, isPointer: true })
  expect(spec?.fields.get('paused')).toMatchObject({ isPointer: false, isOmittedWhenEmpty: true })
  expect(spec?.fields.get('template')).toMatchObject({ isRequired: true })
  expect(spec?.fields.get('strategy')?.patchStrategies).toEqual(['retainKeys'])
  expect(structSchema('core/v1.PodSpec')?.fields.get('containers')).toMatchObject({
    patchStrategies: ['merge'],
    patchMergeKey: 'name',
    listType: 'map',
    listMapKeys: ['name'],
  })
  expect(structSchema('core/v1.Volume')?.fields.get('emptyDir')).toMatchObject({ isPointer: true })
  expect(schemaOf('no.such', 'v1', 'Kind')).toBeUndefined()
  expect(schemaOf('', 'v1', 'DeleteOptions')?.name).toBe('meta/v1.DeleteOptions')
})

test('unknown fields are named as Kubernetes names them', () => {
  const { unknown, typeErrors } = strictCheck(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', labels: { any: 'key' }, foo: 1 },
      spec: {
        replicaz: 2,
        template: { spec: { containers: [{ name: 'a' }, { name: 'b', foo: 1 }] } },
      },
    },
    deployment,
  )
  expect(unknown).toEqual([
    'unknown field "metadata.foo"',
    'unknown field "spec.replicaz"',
    'unknown field "spec.template.spec.containers[1].foo"',
  ])
  expect(typeErrors).toEqual([])
})

test.for<[object, string]>([
  [
    { spec: { replicas: 'two' } },
    'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
  ],
  [
    { spec: { replicas: 1.5 } },
    'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32',
  ],
  [
    { spec: { template: { spec: { containers: 'x' } } } },
    'json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container',
  ],
  [
    { spec: { template: { spec: { containers: [{ env: [{ name: 'A', value: 1 }] }] } } } },
    'json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string',
  ],
  [
    { metadata: { labels: { a: true } } },
    'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string',
  ],
  [
    { spec: [] },
    'json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec',
  ],
  [
    { spec: { template: { spec: { containers: [{ resources: { limits: { cpu: 'much' } } }] } } } },
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  ],
  [
    { metadata: { creationTimestamp: 'today' } },
    'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today"',
  ],
])('a value of the wrong type: %j', ([object, message]) => {
  expect(strictCheck(object, deployment).typeErrors).toEqual([message])
})

test('int-or-string, numbers as quantities, and null are fine', () => {
  const object = {
    metadata: { creationTimestamp: null },
    spec: {
      strategy: { rollingUpdate: { maxSurge: '25%', maxUnavailable: 1 } },
      template: { spec: { containers: [{ name: 'a', resources: { limits: { cpu: 1 } } }] } },
    },
  }
  expect(strictCheck(object, deployment)).toEqual({ unknown: [], typeErrors: [] })
})

test('pruning drops what Kubernetes would not write back, and keeps explicit zeros of pointers', () => {
  const pruned = prune(
    {
      metadata: { name: 'web', creationTimestamp: null, labels: {}, foo: 1 },
      spec: {
        replicas: 0,
        paused: false,
        strategy: {},
        template: {
          metadata: { creationTimestamp: null },
          spec: {
            containers: [
              { name: 'a', resources: {}, command: null, securityContext: {}, stdin: false },
            ],
            volumes: [{ name: 'tmp', emptyDir: {} }],
          },
        },
      },
      status: {},
    },
    deployment,
  )
  expect(pruned).toEqual({
    metadata: { name: 'web' },
    spec: {
      replicas: 0,
      template: {
        spec: {
          containers: [{ name: 'a', securityContext: {} }],
          volumes: [{ name: 'tmp', emptyDir: {} }],
        },
      },
    },
  })
})

test('pruning gives quantities and times their canonical text', () => {
  const pruned = prune(
    {
      metadata: { deletionTimestamp: '2026-11-22T15:04:05.123+01:00' },
      spec: { containers: [{ name: 'a', resources: { limits: { cpu: 0.5, memory: '1024Mi' } } }] },
    },
    pod,
  )
  expect(pruned).toEqual({
    metadata: { deletionTimestamp: '2026-11-22T14:04:05Z' },
    spec: { containers: [{ name: 'a', resources: { limits: { cpu: '500m', memory: '1Gi' } } }] },
  })
})

test('normalising keeps what the schema does not know', () => {
  expect(normalise({ metadata: { foo: 1, bar: null }, more: [] }, service)).toEqual({
    metadata: { foo: 1 },
    more: [],
  })
})

test('a label named __proto__ survives', () => {
  const object: unknown = JSON.parse('{"metadata":{"labels":{"__proto__":"x"}}}')
  expect(JSON.stringify(prune(Object(object), service))).toBe(JSON.stringify(object))
})

test('decodeObject refuses, warns or ignores', () => {
  const target = { kind: 'Deployment', version: 'v1', schema: deployment }
  const body = { spec: { replicaz: 1 }, foo: 1 }
  expect(() => decodeObject(body, target, 'Strict', ['duplicate field "spec.replicas"'])).toThrow(
    'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: ' +
      'duplicate field "spec.replicas", unknown field "spec.replicaz", unknown field "foo"',
  )
  expect(decodeObject(body, target, 'Warn')).toEqual({
    object: {},
    warnings: ['unknown field "spec.replicaz"', 'unknown field "foo"'],
  })
  expect(decodeObject(body, target, 'Ignore').warnings).toEqual([])
  expect(() => decodeObject({ spec: { replicas: 'x' } }, target, 'Ignore')).toThrow(
    'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string',
  )
})

test('duplicate fields are found with their paths', () => {
  expect(
    duplicateFields(
      '{"a":1,"spec":{"x":"}\\"]{","x":2,"list":[{"n":1},{"n":1,"n":[1,{"q":1,"q":2}]}]},"a":{}}',
    ),
  ).toEqual([
    'duplicate field "spec.x"',
    'duplicate field "spec.list[1].n"',
    'duplicate field "spec.list[1].n[1].q"',
    'duplicate field "a"',
  ])
  expect(duplicateFields('{"a":{"b":[[],{}]},"c":"a"}')).toEqual([])
})
