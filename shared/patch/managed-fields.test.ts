// managedFields of ordinary writes: who set what, and how many are remembered.

import { describe, expect, test } from 'vitest'
import { schemaOf } from '../api/schema/schema.ts'
import { formatTime } from '../time.ts'
import { pathText } from './field-set.ts'
import { cloneJson, isObject, type JsonObject } from './json.ts'
import { managersOf, trackUpdate } from './managed-fields.ts'
import { serverSideApply } from './server-side-apply.ts'

const schema = schemaOf('apps', 'v1', 'Deployment')!

const NOW = 1_800_000_000_000

function apply(live: JsonObject | undefined, spec: JsonObject): JsonObject {
  return serverSideApply({
    live,
    applied: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec },
    manager: 'a',
    force: false,
    schema,
    now: NOW,
    apiVersion: 'apps/v1',
    subresource: '',
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

describe('ordinary writes', () => {
  test('own what they change; the time moves with it', () => {
    const created = update(undefined, {
      metadata: { name: 'web' },
      spec: { replicas: 1, paused: true },
    })
    const changed = trackUpdate({
      before: created,
      after: withSpec(created, (spec) => {
        spec['replicas'] = 2
        delete spec['paused']
      }),
      manager: 'scaler',
      apiVersion: 'apps/v1',
      subresource: '',
      schema,
      now: NOW + 5000,
    })
    expect(managersOf(changed).map(({ name, time }) => [name, time])).toEqual([
      ['scaler', formatTime(NOW + 5000)],
    ])
    expect(fieldsBy(changed, 'scaler')).toEqual(['.spec.replicas'])
    const same = trackUpdate({
      before: changed,
      after: changed,
      manager: 'scaler',
      apiVersion: 'apps/v1',
      subresource: '',
      schema,
      now: NOW + 9000,
    })
    expect(same).toEqual(changed)
  })

  test('a write takes fields from an applier, whose next apply then conflicts', () => {
    const object = apply(undefined, { replicas: 2, paused: true })
    const scaled = update(
      object,
      withSpec(object, (spec) => (spec['replicas'] = 7)),
      'scaler',
    )
    expect(fieldsBy(scaled, 'a')).toEqual(['.spec.paused'])
    expect(() => apply(scaled, { replicas: 2, paused: true })).toThrow('conflict with "scaler"')
  })

  test('a client may replace managedFields, or forget them', () => {
    const object = apply(undefined, { replicas: 2 })
    const entries = [
      { manager: 'z', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
    ]
    const renamed = update(object, { ...object, metadata: { name: 'web', managedFields: entries } })
    expect(managersOf(renamed).map(({ name }) => name)).toEqual(['z'])
    const reset = update(object, { ...object, metadata: { name: 'web', managedFields: [{}] } })
    expect(reset['metadata']).toEqual({ name: 'web' })
    const kept = update(object, { ...object, metadata: { name: 'web' } })
    expect(managersOf(kept).map(({ name }) => name)).toEqual(['a'])
  })

  test('not more than ten updaters: the oldest become one', () => {
    let object: JsonObject = { metadata: { name: 'web' }, spec: {} }
    for (let index = 0; index < 14; index++) {
      const metadata = isObject(object['metadata']) ? object['metadata'] : {}
      const labels = isObject(metadata['labels']) ? metadata['labels'] : {}
      object = trackUpdate({
        before: object,
        after: { ...object, metadata: { ...metadata, labels: { ...labels, [`l${index}`]: 'x' } } },
        manager: `m${index}`,
        apiVersion: 'apps/v1',
        subresource: '',
        schema,
        now: NOW + index * 1000,
      })
    }
    const names = managersOf(object).map(({ name }) => name)
    expect(names).toHaveLength(10)
    expect(names).toContain('ancient-changes')
    expect(fieldsBy(object, 'ancient-changes')).toEqual(
      ['l0', 'l1', 'l2', 'l3', 'l4'].map((label) => `.metadata.labels.${label}`),
    )
  })
})
