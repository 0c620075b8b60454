// JSON patches apply, refuse in Kubernetes' words, and stay bounded.

import { expect, test } from 'vitest'
import { applyJsonPatch } from './json-patch.ts'

test('what kubectl rollout undo sends', () => {
  const object = { metadata: { annotations: { a: '1' } }, spec: { template: { x: 1 } } }
  expect(
    applyJsonPatch(object, [
      { op: 'replace', path: '/spec/template', value: { y: 2 } },
      { op: 'replace', path: '/metadata/annotations', value: { b: '2' } },
      { op: 'test', path: '/spec/template/y', value: 2 },
      { op: 'add', path: '/metadata/labels', value: {} },
      { op: 'add', path: '/metadata/labels/a~1b', value: 'c' },
      { op: 'remove', path: '/metadata/annotations/b' },
      { op: 'replace', path: '/metadata/annotations/new', value: 'x' },
    ]),
  ).toEqual({
    metadata: { annotations: { new: 'x' }, labels: { 'a/b': 'c' } },
    spec: { template: { y: 2 } },
  })
  expect(object.spec.template).toEqual({ x: 1 })
})

test.for<[unknown, object]>([
  [
    { op: 'test', path: '/a', value: 2 },
    { reason: 'Invalid', code: 422 },
  ],
  [{ op: 'remove', path: '/b' }, { reason: 'Invalid' }],
  [{ op: 'replace', path: '/b/c', value: 1 }, { reason: 'Invalid' }],
  [{ op: 'replace', path: '/l/1', value: 1 }, { reason: 'Invalid' }],
  [{ op: 'add', path: '/b/c', value: 1 }, { reason: 'Invalid' }],
  [{ op: 'add', path: '/__proto__/x', value: 1 }, { reason: 'Invalid' }],
  [{ op: 'fly', path: '/a' }, { reason: 'Invalid' }],
  [{ op: 'add', path: '/a' }, { reason: 'Invalid' }],
  [{ op: 'replace', path: '', value: 1 }, { reason: 'Invalid' }],
])('refused: %j', ([operation, error]) => {
  expect(() => applyJsonPatch({ a: 1, l: [1] }, [operation])).toThrow(
    expect.objectContaining(error),
  )
})

test('bounded', () => {
  expect(() => applyJsonPatch({}, {})).toThrow('cannot unmarshal object')
  expect(() =>
    applyJsonPatch(
      {},
      Array.from({ length: 10_001 }, () => ({})),
    ),
  ).toThrow('The allowed maximum operations in a JSON patch is 10000, got 10001')
  const copies = Array.from({ length: 64 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }))
  expect(() => applyJsonPatch({ a: ['x'.repeat(100)] }, copies)).toThrow(
    expect.objectContaining({
      reason: 'Invalid',
      details: {
        causes: [expect.objectContaining({ message: expect.stringContaining('too large') })],
      },
    }),
  )
})
