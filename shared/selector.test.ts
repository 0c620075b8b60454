import { describe, expect, it } from 'vitest'
import type { LabelSelector } from './api/meta.ts'
import {
  formatSelector,
  matches,
  matchesLabelSelector,
  parseSelector,
  selectorOf,
} from './selector.ts'

const LABELS = { app: 'web', tier: 'front', weight: '10', 'example.com/part': 'a' }

describe('label selectors as text', () => {
  it.each([
    ['', true],
    ['app=web', true],
    ['app==web', true],
    [' app = web ', true],
    ['app=api', false],
    ['app!=api', true],
    ['missing!=api', true],
    ['app!=web', false],
    ['app in (web,api)', true],
    ['app in ( api )', false],
    ['app notin (api)', true],
    ['missing notin (api)', true],
    ['app notin (web)', false],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['!app', false],
    ['app=web,tier=front', true],
    ['app=web,tier=back', false],
    ['app in (web),tier,!missing', true],
    ['weight>9', true],
    ['weight>10', false],
    ['weight<11', true],
    ['app>1', false],
    ['example.com/part=a', true],
    ['app=', false],
    ['missing=', false],
    ['app in (web,)', true],
  ])('%j selects: %s', (text, expected) => {
    expect(matches(parseSelector(text), LABELS)).toBe(expected)
  })

  it.each([
    ['app=web,', "found '', expected: identifier after ','"],
    [',', "found ',', expected: !, identifier, or 'end of string'"],
    ['app web', "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"],
    ['app in web', "unable to parse requirement: found 'web' expected: '('"],
    ['app in (web', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['app=web tier=front', "found 'tier', expected: ',' or 'end of string'"],
    ['!', "unable to parse requirement: found '', expected: identifier"],
    [
      'app=a$b',
      'unable to parse requirement: values[0][app]: Invalid value: "a$b": a valid label must be',
    ],
    ['-a=b', 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'],
    [
      'a>b',
      "unable to parse requirement: values[0][a]: Invalid value: \"b\": for 'Gt', 'Lt' operators",
    ],
  ])('%j is refused', (text, message) => {
    expect(() => parseSelector(text)).toThrow(message)
  })
})

describe('LabelSelector', () => {
  const CASES: [LabelSelector | undefined, boolean, string][] = [
    [undefined, false, ' in ()'],
    [{}, true, ''],
    [{ matchLabels: { app: 'web' } }, true, 'app=web'],
    [{ matchLabels: { tier: 'front', app: 'web' } }, true, 'app=web,tier=front'],
    [{ matchLabels: { app: 'api' } }, false, 'app=api'],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true, 'app'],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false, '!app'],
    [
      { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'api'] }] },
      true,
      'app in (api,web)',
    ],
    [
      { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web', 'api'] }] },
      false,
      'app notin (api,web)',
    ],
  ]
  it.each(CASES)('%j selects: %s', (selector, expected, text) => {
    expect(matchesLabelSelector(selector, LABELS)).toBe(expected)
    expect(formatSelector(selectorOf(selector))).toBe(text)
  })
})
