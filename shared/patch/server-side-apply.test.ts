// Server-side apply: ownership, conflicts, removal, and the laws that hold for all.

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { schemaOf } from '../api/schema/schema.ts'
import { fromFieldsV1, isSameSet, pathText, toFieldsV1, union } from './field-set.ts'
import { cloneJson, isObject, type JsonObject } from './json.ts'
import { managersOf, trackUpdate } from './managed-fields.ts'
import { serverSideApply, type Apply } from './server-side-apply.ts'

function schemaFor(kind: string) {
  const found = kind === 'Deployment' ? schemaOf('apps', 'v1', kind) : schemaOf('', 'v1', kind)
  if (!found) throw new Error(`no schema of ${kind}`)
  return found
}
const schema = schemaFor('Deployment')

const NOW = 1_800_000_000_000

function apply(
  live: JsonObject | undefined,
  spec: JsonObject,
  options: Partial<Apply> = {},
): JsonObject {
  return serverSideApply({
    live,
    applied: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec },
    manager: 'a',
    force: false,
    schema,
    now: NOW,
    apiVersion: 'apps/v1',
    subresource: '',
    ...options,
  }).object
}

function update(
  before: JsonObject | undefined,
  after: JsonObject,
  manager = 'kubectl',
): JsonObject {
  return trackUpdate({
    before,
    after,
    manager,
    apiVersion: 'apps/v1',
    subresource: '',
    schema,
    now: NOW,
  })
}

const fieldsBy = (object: JsonObject, name: string): string[] =>
  managersOf(object)
    .filter((manager) => manager.name === name)
    .flatMap(({ fields }) => [...fields].map(pathText))
    .sort()

const withSpec = (object: JsonObject, change: (spec: JsonObject) => void): JsonObject => {
  const copy = cloneJson(object)
  if (!isObject(copy) || !isObject(copy['spec'])) throw new Error('no spec')
  change(copy['spec'])
  return copy
}

const container = (name: string, more: JsonObject = {}): JsonObject => ({
  template: { spec: { containers: [{ name, ...more }] } },
})

describe('apply', () => {
  test('creates, and owns what was applied, in the form Kubernetes writes', () => {
    const object = apply(undefined, {
      replicas: 2,
      ...container('web', { image: 'x', ports: [{ containerPort: 80 }] }),
    })
    expect(object['metadata']).toEqual({
      name: 'web',
      managedFields: [
        {
          manager: 'a',
          operation: 'Apply',
          apiVersion: 'apps/v1',
          time: '2027-01-15T08:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: {
            'f:spec': {
              'f:replicas': {},
              'f:template': {
                'f:spec': {
                  'f:containers': {
                    'k:{"name":"web"}': {
                      '.': {},
                      'f:image': {},
                      'f:name': {},
                      'f:ports': {
                        'k:{"containerPort":80,"protocol":"TCP"}': {
                          '.': {},
                          'f:containerPort': {},
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      ],
    })
  })

  test('the same again changes nothing, not even the time', () => {
    const once = apply(undefined, { replicas: 2, ...container('web') })
    expect(apply(once, { replicas: 2, ...container('web') }, { now: NOW + 60_000 })).toBe(once)
  })

  test("a change of what another manager owns is a conflict, in Kubernetes' words", () => {
    const object = update(undefined, { metadata: { name: 'web' }, spec: { replicas: 2 } }, 'hpa')
    const applying = (): JsonObject => apply(object, { replicas: 3 })
    expect(applying).toThrow(
      'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.replicas',
    )
    expect(applying).toThrow(
      expect.objectContaining({
        reason: 'Conflict',
        code: 409,
        details: {
          causes: [
            {
              reason: 'FieldManagerConflict',
              message: 'conflict with "hpa" using apps/v1',
              field: '.spec.replicas',
            },
          ],
        },
      }),
    )
    const both = apply(undefined, {
      replicas: 1,
      paused: true,
      ...container('web', { image: 'x' }),
    })
    expect(() =>
      apply(both, { replicas: 2, ...container('web', { image: 'y' }) }, { manager: 'b' }),
    ).toThrow(
      'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.replicas\n' +
        '- .spec.template.spec.containers[name="web"].image',
    )
  })

  test('force takes the field; the same value is shared without a conflict', () => {
    const object = apply(undefined, { replicas: 2 })
    const shared = apply(object, { replicas: 2 }, { manager: 'b' })
    expect(fieldsBy(shared, 'a')).toEqual(['.spec.replicas'])
    expect(fieldsBy(shared, 'b')).toEqual(['.spec.replicas'])
    const taken = apply(object, { replicas: 5 }, { manager: 'b', force: true })
    expect(taken['spec']).toEqual({ replicas: 5 })
    expect(managersOf(taken).map(({ name }) => name)).toEqual(['b'])
  })

  test('what is not applied any more goes, unless another manager has it', () => {
    const first = apply(undefined, {
      replicas: 2,
      strategy: { type: 'Recreate' },
      template: {
        metadata: { labels: { a: '1', b: '2' } },
        spec: {
          containers: [{ name: 'web', env: [{ name: 'A' }, { name: 'B' }] }, { name: 'side' }],
        },
      },
    })
    const shared = apply(first, { replicas: 2 }, { manager: 'b' })
    const second = apply(shared, {
      template: {
        metadata: { labels: { b: '2' } },
        spec: { containers: [{ name: 'web', env: [{ name: 'B' }] }] },
      },
    })
    expect(second['spec']).toEqual({
      replicas: 2,
      template: {
        metadata: { labels: { b: '2' } },
        spec: { containers: [{ name: 'web', env: [{ name: 'B' }] }] },
      },
    })
    const third = apply(second, container('web'))
    expect(third['spec']).toEqual({ replicas: 2, ...container('web') })
  })

  test('what somebody else set inside survives', () => {
    const object = apply(undefined, container('web', { image: 'x' }))
    const injected = update(
      object,
      withSpec(object, (spec) => {
        spec['template'] = {
          spec: {
            containers: [{ name: 'web', image: 'x', env: [{ name: 'I' }] }, { name: 'mesh' }],
          },
        }
      }),
      'injector',
    )
    const again = apply(injected, container('web', { image: 'y' }))
    expect(again['spec']).toEqual({
      template: {
        spec: { containers: [{ name: 'web', image: 'y', env: [{ name: 'I' }] }, { name: 'mesh' }] },
      },
    })
  })

  test('sets, atomic lists, atomic maps and atomic structs', () => {
    const one = serverSideApply({
      live: undefined,
      applied: {
        metadata: { name: 's', finalizers: ['x/a', 'x/b'] },
        spec: { selector: { run: 'web' }, ports: [{ port: 80 }], externalIPs: ['1', '2'] },
      },
      manager: 'a',
      force: false,
      schema: schemaFor('Service'),
      now: NOW,
      apiVersion: 'v1',
      subresource: '',
    }).object
    expect(fieldsBy(one, 'a')).toEqual([
      '.metadata.finalizers[="x/a"]',
      '.metadata.finalizers[="x/b"]',
      '.spec.externalIPs',
      '.spec.ports[port=80,protocol="TCP"]',
      '.spec.ports[port=80,protocol="TCP"].port',
      '.spec.selector',
    ])
    const two = serverSideApply({
      live: one,
      applied: {
        metadata: { name: 's', finalizers: ['x/c', 'x/b'] },
        spec: { selector: { tier: 'db' }, ports: [{ port: 81 }] },
      },
      manager: 'a',
      force: false,
      schema: schemaFor('Service'),
      now: NOW,
      apiVersion: 'v1',
      subresource: '',
    }).object
    expect(two).toMatchObject({
      metadata: { finalizers: ['x/c', 'x/b'] },
      spec: { selector: { tier: 'db' }, ports: [{ port: 81 }] },
    })
    expect(two['spec']).not.toHaveProperty('externalIPs')
  })

  test('an object without managers belongs to those before', () => {
    const object = apply(
      { metadata: { name: 'web' }, spec: { replicas: 1, paused: true } },
      { paused: true },
    )
    expect(fieldsBy(object, 'before-first-apply')).toEqual(['.spec.paused', '.spec.replicas'])
    expect(() => apply(object, { replicas: 2 })).toThrow('conflict with "before-first-apply"')
  })

  test('status is applied through its subresource only', () => {
    const object = apply(undefined, { replicas: 1 })
    const applied = {
      metadata: { name: 'web' },
      spec: { replicas: 9 },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    }
    const whole = apply(object, {}, { applied })
    expect(whole).not.toHaveProperty('status')
    const status = apply(object, {}, { applied, subresource: 'status', manager: 's' })
    expect(status['spec']).toEqual({ replicas: 1 })
    expect(fieldsBy(status, 's')).toEqual([
      '.status.conditions[type="Ready"]',
      '.status.conditions[type="Ready"].status',
      '.status.conditions[type="Ready"].type',
    ])
  })

  test.for<[JsonObject, string]>([
    [
      { replicaz: 1 },
      'failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema',
    ],
    [
      { replicas: 'x' },
      'cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas',
    ],
    [
      { template: { spec: { containers: [{ name: 'a' }, { name: 'a' }] } } },
      '.spec.template.spec.containers: duplicate entries for key [name="a"]',
    ],
    [
      { template: { spec: { containers: [{ name: 'a' }, { image: 'x' }], volumes: [] } } },
      '.spec.template.spec.containers: element 1: associative list with keys has an element that omits key field "name"',
    ],
  ])('refused: %j', ([spec, message]) => {
    expect(() => apply(undefined, spec)).toThrow(message)
    expect(() => apply(undefined, spec)).toThrow(expect.objectContaining({ reason: 'BadRequest' }))
  })
})

const name = fc.constantFrom('a', 'b', 'c')
const anySpec = fc.record(
  {
    replicas: fc.nat(2),
    strategy: fc.record({ type: fc.constantFrom('Recreate', 'RollingUpdate') }),
    template: fc.record({
      metadata: fc.record({ labels: fc.dictionary(name, name) }),
      spec: fc.record({
        containers: fc.uniqueArray(
          fc.record(
            { name, image: name, args: fc.array(name, { maxLength: 2 }) },
            { requiredKeys: ['name'] },
          ),
          { selector: (each) => each.name },
        ),
      }),
    }),
  },
  { requiredKeys: [] },
)
const plain = (value: unknown): JsonObject => JSON.parse(JSON.stringify(value))

describe('laws', () => {
  test('FieldsV1 and back', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        const set = union(...managersOf(apply(undefined, plain(spec))).map(({ fields }) => fields))
        expect(isSameSet(fromFieldsV1(toFieldsV1(set)), set)).toBe(true)
      }),
    )
  })

  test('after a forced apply everything applied is there, owned, and applying again is a no-op', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, anySpec), { minLength: 1, maxLength: 5 }), (steps) => {
        let live: JsonObject | undefined
        for (const [manager, spec] of steps) {
          const next = apply(live, plain(spec), { manager, force: true })
          const own = fieldsBy(next, manager)
          expect(own).toEqual(fieldsBy(apply(undefined, plain(spec), { manager }), manager))
          expect(apply(next, plain(spec), { manager })).toBe(next)
          live = next
        }
      }),
    )
  })

  test('a manager that applies nothing any more leaves nothing of its own', () => {
    fc.assert(
      fc.property(anySpec, anySpec, (one, two) => {
        const alone = apply(undefined, plain(one))
        expect(apply(alone, {})).toEqual({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'web' },
        })
        const both = apply(alone, plain(two), { manager: 'b', force: true })
        const left = apply(both, {})
        expect(fieldsBy(left, 'a')).toEqual([])
        expect(fieldsBy(left, 'b')).toEqual(fieldsBy(both, 'b'))
        // What b owns is still there with the same values: b may apply it again without a change.
        expect(apply(left, plain(two), { manager: 'b' })).toBe(left)
      }),
    )
  })
})
