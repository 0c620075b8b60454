import { describe, expect, it } from 'vitest'
import { isEqual } from './equal.ts'

describe('isEqual', () => {
  it.each<[unknown, unknown, boolean]>([
    [1, 1, true],
    [1, '1', false],
    [null, undefined, true],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: 1 }, { a: 1, b: null }, true],
    [{ a: 1 }, { a: 1, b: 0 }, false],
    [{ a: 1, annotations: {} }, { a: 1 }, true],
    [{ a: 1, list: [] }, { a: 1 }, true],
    [{ a: { creationTimestamp: null } }, {}, true],
    [{ name: 'v', emptyDir: {} }, { name: 'v' }, false],
    [{ namespaceSelector: {} }, {}, false],
    [[1, 2], [2, 1], false],
    [[1], [1, 2], false],
    [[{ a: 1 }], [{ a: 1 }], true],
    [[1], { 0: 1 }, false],
    [{ a: [1] }, { a: [2] }, false],
    [{ a: 0 }, {}, false],
    [{ a: false }, {}, false],
    [{ a: '' }, {}, false],
  ])('%j and %j: %s', (a, b, expected) => {
    expect(isEqual(a, b)).toBe(expected)
    expect(isEqual(b, a)).toBe(expected)
  })
})
