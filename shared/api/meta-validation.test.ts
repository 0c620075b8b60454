import { describe, expect, it } from 'vitest'
import { admission, meta } from '#test/support/admission.ts'
import type { KubeObject, LabelSelector, ObjectMeta } from './meta.ts'
import { validateLabelSelector, validateMeta } from './meta-validation.ts'

function problems(more: Partial<ObjectMeta>, old?: ObjectMeta, isNamespaced = true): string[] {
  const object: KubeObject = { apiVersion: 'v1', kind: 'X', metadata: { ...meta('web'), ...more } }
  const situation = old ? { old: { ...object, metadata: old } } : {}
  return validateMeta(object, { isNamespaced }, admission(situation)).map(
    (cause) => `${cause.field}: ${cause.message}`,
  )
}

const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

describe('metadata', () => {
  it.each<[string, Partial<ObjectMeta>, string]>([
    ['a bad name', { name: 'My_Web' }, `metadata.name: Invalid value: "My_Web": ${SUBDOMAIN_TEXT}`],
    [
      'a long name',
      { name: 'a'.repeat(254) },
      `metadata.name: Invalid value: "${'a'.repeat(254)}": must be no more than 253 bytes`,
    ],
    [
      'a bad prefix',
      { generateName: 'Web-' },
      `metadata.generateName: Invalid value: "Web-": ${SUBDOMAIN_TEXT}`,
    ],
    [
      'a bad label',
      { labels: { app: 'a b' } },
      `metadata.labels: Invalid value: "a b": ${VALUE_TEXT}`,
    ],
    [
      'a long label',
      { labels: { app: 'a'.repeat(64) } },
      `metadata.labels: Invalid value: "${'a'.repeat(64)}": must be no more than 63 bytes`,
    ],
    [
      'a label key without name',
      { labels: { 'example.com/': 'a' } },
      'metadata.labels: Invalid value: "example.com/": name part must be non-empty',
    ],
    [
      'too much in annotations',
      { annotations: { a: 'x'.repeat(262_144) } },
      'metadata.annotations: Too long: may not be more than 262144 bytes',
    ],
    [
      'an owner without uid',
      { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: '' }] },
      'metadata.ownerReferences[0].uid: Invalid value: "": must not be empty',
    ],
    [
      'finalizers that contradict each other',
      { finalizers: ['orphan', 'foregroundDeletion'] },
      'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer foregroundDeletion and orphan cannot be both set',
    ],
  ])('%s', (_, more, expected) => {
    expect(problems(more)).toContain(expected)
  })

  it('has a namespace where the kind has one, and none where not', () => {
    expect(problems({ namespace: '' })).toEqual(['metadata.namespace: Required value'])
    expect(problems({}, undefined, false)).toEqual([
      'metadata.namespace: Forbidden: not allowed on this type',
    ])
  })

  it('accepts a prefix that ends with a hyphen', () => {
    expect(problems({ generateName: 'web-' })).toEqual([])
  })

  it('takes no more finalizers once it is being deleted', () => {
    const old = { ...meta('web'), finalizers: ['a.b/c'], deletionTimestamp: 'x' }
    expect(problems({ finalizers: ['a.b/c', 'a.b/d'] }, old)).toEqual([
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/d"}',
    ])
    expect(problems({ finalizers: [] }, old)).toEqual([])
  })

  it('has one controller', () => {
    const owner = { apiVersion: 'v1', kind: 'Pod', uid: 'u', controller: true }
    const ownerReferences = [
      { ...owner, name: 'a' },
      { ...owner, name: 'b' },
    ]
    expect(problems({ ownerReferences }).join()).toContain(
      'Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b',
    )
  })
})

describe('a label selector', () => {
  it.each<[LabelSelector, string]>([
    [
      { matchExpressions: [{ key: 'a', operator: 'In' }] },
      "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ],
    [
      { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] },
      "s.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    ],
    [{ matchLabels: { a: 'b c' } }, `s.matchLabels: Invalid value: "b c": ${VALUE_TEXT}`],
  ])('%j', (selector, expected) => {
    const causes = validateLabelSelector('s', selector)
    expect(causes.map((cause) => `${cause.field}: ${cause.message}`)).toEqual([expected])
  })
})
