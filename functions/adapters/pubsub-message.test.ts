import { expect, test } from 'vitest'
import { fromPubsub, passesFilter, toPubsub, toPubsubFilter } from './pubsub-message.ts'

test('there and back; the key survives a transport that drops it', () => {
  const message = { attributes: { a: '1' }, data: 'žluť', orderingKey: 'k' }
  expect(fromPubsub(toPubsub(message))).toEqual(message)
  expect(fromPubsub({ ...toPubsub(message), orderingKey: undefined })).toEqual(message)
  expect(fromPubsub({ ...toPubsub(message), orderingKey: '' })).toEqual(message)
  const plain = { attributes: {}, data: '{}' }
  expect(fromPubsub(toPubsub(plain))).toEqual(plain)
})

test('a filter in Pub/Sub’s language', () => {
  expect(toPubsubFilter({ cluster: 'dev', node: 'a"b\\c' })).toBe(
    String.raw`attributes.cluster = "dev" AND attributes.node = "a\"b\\c"`,
  )
  expect(toPubsubFilter({ 'with-dash': 'x' })).toBe('attributes."with-dash" = "x"')
})

test('a filter passes what has all of it', () => {
  const message = { attributes: { a: '1', b: '2' }, data: '{}' }
  expect(passesFilter(message, {})).toBe(true)
  expect(passesFilter(message, { a: '1', b: '2' })).toBe(true)
  expect(passesFilter(message, { a: '1', b: '3' })).toBe(false)
  expect(passesFilter(message, { c: '1' })).toBe(false)
})
