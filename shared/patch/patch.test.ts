// Merge patches and strategic merge patches: laws, directives, and the same answers as real kubectl.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { schemaOf } from '../api/schema/schema.ts'
import { applyMergePatch } from './merge-patch.ts'
import { isObject, isSameJson, type JsonObject } from './json.ts'
import { applyStrategicMergePatch } from './strategic-merge-patch.ts'

const anyObject = fc
  .dictionary(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
  .map((object): JsonObject => JSON.parse(JSON.stringify(object)))

function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  )
}

describe('merge patch', () => {
  test('the examples of RFC 7396', () => {
    expect(applyMergePatch({ a: 'b' }, { a: 'c' })).toEqual({ a: 'c' })
    expect(applyMergePatch({ a: 'b', b: 'c' }, { a: null })).toEqual({ b: 'c' })
    expect(applyMergePatch({ a: ['b'] }, { a: 'c' })).toEqual({ a: 'c' })
    expect(applyMergePatch({ a: { b: 'c' } }, { a: { b: 'd', c: null } })).toEqual({
      a: { b: 'd' },
    })
    expect(applyMergePatch({ a: [{ b: 'c' }] }, { a: [1] })).toEqual({ a: [1] })
    expect(applyMergePatch({ e: null }, { a: 1 })).toEqual({ e: null, a: 1 })
    expect(applyMergePatch({}, { a: { bb: { ccc: null } } })).toEqual({ a: { bb: {} } })
  })

  test('laws: idempotent, changes nothing of its arguments, {} changes nothing', () => {
    fc.assert(
      fc.property(anyObject, anyObject, (object, patch) => {
        const before = JSON.stringify([object, patch])
        const once = applyMergePatch(object, patch)
        expect(isSameJson(applyMergePatch(once, patch), once)).toBe(true)
        expect(isSameJson(applyMergePatch(object, {}), object)).toBe(true)
        expect(isSameJson(applyMergePatch({}, patch), withoutNulls(patch))).toBe(true)
        expect(JSON.stringify([object, patch])).toBe(before)
      }),
    )
  })
})

const deployment = schemaOf('apps', 'v1', 'Deployment')
const pod = schemaOf('', 'v1', 'Pod')

function podSpec(spec: JsonObject, patch: JsonObject): unknown {
  return applyStrategicMergePatch({ spec }, { spec: patch }, pod)['spec']
}

describe('strategic merge patch', () => {
  test('lists with a merge key are merged, new elements come first', () => {
    expect(
      podSpec(
        { containers: [{ name: 'a', image: '1', command: ['x'] }, { name: 'b' }] },
        { containers: [{ name: 'c' }, { name: 'a', image: '2' }] },
      ),
    ).toEqual({
      containers: [{ name: 'c' }, { name: 'a', image: '2', command: ['x'] }, { name: 'b' }],
    })
  })

  test('lists without one are replaced', () => {
    expect(
      podSpec(
        { tolerations: [{ key: 'a' }], nodeSelector: { a: '1' } },
        { tolerations: [{ key: 'b' }], nodeSelector: { b: '2' } },
      ),
    ).toEqual({ tolerations: [{ key: 'b' }], nodeSelector: { a: '1', b: '2' } })
  })

  test('null removes, $patch: delete removes an element, $patch: replace replaces', () => {
    const env = [{ name: 'A' }, { name: 'B' }, { name: 'C' }]
    expect(
      podSpec(
        { containers: [{ name: 'a', env, image: 'x' }], hostname: 'h', affinity: { x: 1 } },
        {
          containers: [{ name: 'a', env: [{ $patch: 'delete', name: 'B' }], image: null }],
          hostname: null,
          affinity: { $patch: 'replace', y: 1 },
        },
      ),
    ).toEqual({
      containers: [{ name: 'a', env: [{ name: 'A' }, { name: 'C' }] }],
      affinity: { y: 1 },
    })
    expect(
      podSpec(
        { containers: [{ name: 'a', env }], securityContext: { runAsUser: 1 } },
        {
          containers: [{ name: 'a', env: [{ $patch: 'replace' }, { name: 'Z' }] }],
          securityContext: { $patch: 'delete' },
        },
      ),
    ).toEqual({ containers: [{ name: 'a', env: [{ name: 'Z' }] }], securityContext: {} })
  })

  test('$setElementOrder orders what is there; what only the server has keeps its place', () => {
    expect(
      podSpec(
        { containers: [{ name: 'a' }, { name: 'server' }, { name: 'b' }] },
        {
          '$setElementOrder/containers': [{ name: 'b' }, { name: 'new' }, { name: 'a' }],
          containers: [{ name: 'new' }],
        },
      ),
    ).toEqual({
      containers: [{ name: 'server' }, { name: 'b' }, { name: 'new' }, { name: 'a' }],
    })
  })

  test('$deleteFromPrimitiveList', () => {
    expect(
      applyStrategicMergePatch(
        { metadata: { finalizers: ['a', 'b', 'c'] } },
        {
          metadata: {
            '$deleteFromPrimitiveList/finalizers': ['b'],
            '$setElementOrder/finalizers': ['c', 'd', 'a'],
            finalizers: ['d'],
          },
        },
        pod,
      ),
    ).toEqual({ metadata: { finalizers: ['c', 'd', 'a'] } })
  })

  test('$retainKeys: from RollingUpdate to Recreate', () => {
    expect(
      applyStrategicMergePatch(
        { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
        { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
        deployment,
      ),
    ).toEqual({ spec: { strategy: { type: 'Recreate' } } })
  })

  test.for<[string, JsonObject, JsonObject]>([
    ['unknown patch type: explode', { $patch: 'explode' }, {}],
    [
      'does not contain declared merge key: name',
      { containers: [{ image: 'x' }] },
      { containers: [{ name: 'a' }] },
    ],
    [
      "The order in patch list doesn't match $setElementOrder list",
      { '$setElementOrder/containers': [{ name: 'a' }], containers: [{ name: 'b' }] },
      { containers: [{ name: 'a' }] },
    ],
    [
      'invalid patch format of retainKeys',
      { volumes: [{ name: 'v', $retainKeys: ['name'], emptyDir: {} }] },
      { volumes: [{ name: 'v' }] },
    ],
  ])('malformed: %s', ([message, patch, spec]) => {
    expect(() => podSpec(spec, patch)).toThrow(message)
  })

  test('a kind without a schema has none', () => {
    expect(() => applyStrategicMergePatch({}, {}, undefined)).toThrow(
      'the body of the request was in an unknown format',
    )
  })
})
