import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { configMapKind } from './config-map.ts'
import type { ConfigMap, Secret } from './config.ts'
import { secretKind } from './secret.ts'

function map(more: Partial<ConfigMap>): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('c'), ...more }
}

function secret(more: Partial<Secret>): Secret {
  return { apiVersion: 'v1', kind: 'Secret', metadata: meta('s'), ...more }
}

const KEY_TEXT =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

describe('a ConfigMap', () => {
  it.each<[string, Partial<ConfigMap>, string]>([
    ['a key with a blank', { data: { 'a b': '' } }, `data[a b]: Invalid value: "a b": ${KEY_TEXT}`],
    [
      'a key that leads up',
      { data: { '..': '' } },
      `data[..]: Invalid value: "..": must not be '..'`,
    ],
    [
      'one key as text and as bytes',
      { data: { a: '' }, binaryData: { a: '' } },
      'data[a]: Invalid value: "a": duplicate of key present in binaryData',
    ],
    [
      'more than a mebibyte',
      { data: { a: 'x'.repeat(1_048_577) } },
      ': Too long: may not be more than 1048576 bytes',
    ],
    [
      'bytes that are no base64',
      { binaryData: { a: 'a*==' } },
      'binaryData[a]: Invalid value: "<value omitted>": illegal base64 data at input byte 1',
    ],
  ])('%s', (_, more, expected) => {
    expect(refusals(map(more))).toEqual([expected])
  })

  it('may have a mebibyte', () => {
    expect(refusals(map({ data: { a: 'x'.repeat(1_048_576) } }))).toEqual([])
  })

  it('does not change once it is immutable', () => {
    const old = map({ data: { a: '1' }, immutable: true })
    const text = 'Forbidden: field is immutable when `immutable` is set'
    expect(refusals(map({ data: { a: '2' } }), { old })).toEqual([
      `immutable: ${text}`,
      `data: ${text}`,
    ])
    expect(refusals(map({ data: { a: '1' }, immutable: true }), { old })).toEqual([])
  })

  it('counts its entries', () => {
    const row = configMapKind.cells(map({ data: { a: '' }, binaryData: { b: '' } }), { now: NOW })
    expect(row).toEqual(['c', 2, '0s'])
  })
})

describe('a Secret', () => {
  it('is Opaque, and takes plain text in', () => {
    const stored = defaulted(secret({ data: { a: 'MQ==' }, stringData: { b: 'zwölf', a: '2' } }))
    expect(stored.type).toBe('Opaque')
    expect(stored.data).toEqual({ a: 'Mg==', b: btoa('zw\u00c3\u00b6lf') })
    expect(stored).not.toHaveProperty('stringData')
    expect(secretKind.cells(stored, { now: NOW })).toEqual(['s', 'Opaque', 2, '0s'])
  })

  it.each<[string, Partial<Secret>, string[]]>([
    [
      'no tls keys',
      { type: 'kubernetes.io/tls' },
      ['data[tls.crt]: Required value', 'data[tls.key]: Required value'],
    ],
    [
      'no docker configuration',
      { type: 'kubernetes.io/dockerconfigjson' },
      ['data[.dockerconfigjson]: Required value'],
    ],
    [
      'no user',
      { type: 'kubernetes.io/basic-auth' },
      ['data[username]: Required value', 'data[password]: Required value'],
    ],
    [
      'no account',
      { type: 'kubernetes.io/service-account-token' },
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
    [
      'a key with a slash',
      { data: { 'a/b': '' } },
      [`data[a/b]: Invalid value: "a/b": ${KEY_TEXT}`],
    ],
  ])('%s', (_, more, expected) => {
    expect(refusals(secret(more))).toEqual(expected)
  })

  it('keeps its type', () => {
    expect(refusals(secret({ type: 'b' }), { old: secret({ type: 'a' }) })).toEqual([
      'type: Invalid value: "b": field is immutable',
    ])
  })

  it('never shows a value in a refusal', () => {
    expect(refusals(secret({ data: { a: 'top secret' } })).join()).not.toContain('top')
  })
})
