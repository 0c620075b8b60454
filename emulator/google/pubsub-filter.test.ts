import { expect, test } from 'vitest'
import { parseFilter } from './pubsub-filter.ts'

const message = { cluster: 'dev', node: 'a"b', empty: '', 'with-dash': 'x' }

test.each([
  ['', true],
  ['  ', true],
  ['attributes.cluster = "dev"', true],
  ['attributes.cluster="prod"', false],
  ['attributes.cluster != "prod"', true],
  ['attributes.missing != "x"', true],
  ['attributes.node = "a\\"b"', true],
  ['attributes."with-dash" = "x"', true],
  ['attributes:empty', true],
  ['attributes:missing', false],
  ['hasPrefix(attributes.cluster, "de")', true],
  ['hasPrefix(attributes.missing, "")', false],
  ['attributes.cluster = "dev" AND attributes:node', true],
  ['attributes.cluster = "dev" AND attributes:missing', false],
  ['attributes:missing OR attributes:node', true],
  ['attributes:missing OR attributes:node AND attributes:missing', false],
  ['NOT attributes:missing AND (attributes:missing OR attributes:node)', true],
  ['-attributes:node', false],
  ['NOT (attributes:missing AND attributes:node)', true],
])('%s', (source, expected) => {
  expect(parseFilter(source)(message)).toBe(expected)
})

test.each([
  'bogus filter here',
  'attributes.cluster',
  'attributes.cluster = dev',
  'attributes.cluster = "dev" AND',
  '(attributes:node',
  'attributes:node attributes:node',
  'data = "x"',
  'attributes.cluster > "a"',
])('%s is refused', (source) => {
  expect(() => parseFilter(source)).toThrow(/Invalid filter/)
})
