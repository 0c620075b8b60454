import { describe, expect, it } from 'vitest'
import {
  addQuantities,
  bytesQuantity,
  canonicalMilli,
  canonicalQuantity,
  compareQuantities,
  isQuantity,
  maxQuantity,
  milliQuantity,
  milliValue,
  subtractQuantities,
  wholeValue,
} from './quantity.ts'

describe('quantities', () => {
  it.each([
    ['0', '0'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['1.', '1'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['0.1', '100m'],
    ['1000', '1k'],
    ['1500', '1500'],
    ['1000000', '1M'],
    ['2048Ki', '2Mi'],
    ['1.5Gi', '1536Mi'],
    ['1000Ki', '1000Ki'],
    ['512Ki', '512Ki'],
    ['0.5Ki', '512'],
    ['1Ki', '1Ki'],
    ['1e3', '1e3'],
    ['12e6', '12e6'],
    ['1E', '1E'],
    ['123456789n', '123456789n'],
    ['0.0000000001', '1n'],
    ['-500m', '-500m'],
    ['+2', '2'],
    ['99999999999999999999', '9223372036854775807'],
  ])('%s is written as %s', (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical)
    expect(canonicalQuantity(canonical)).toBe(canonical)
  })

  it.each(['', 'x', '1x', 'm', '1 Gi', '1gi', '1..2', '--1', '1e', '.'])('%j is none', (text) => {
    expect(isQuantity(text)).toBe(false)
    expect(canonicalQuantity(text)).toBe(text)
    expect(milliValue(text)).toBe(0)
  })

  it('may come as a number', () => {
    expect(canonicalQuantity(0.25)).toBe('250m')
  })

  it('is rounded up to thousandths in resource lists', () => {
    expect(canonicalMilli('100u')).toBe('1m')
    expect(canonicalMilli('1.0001')).toBe('1001m')
  })

  it.each([
    ['250m', 250, 1],
    ['2', 2000, 2],
    ['1Ki', 1_024_000, 1024],
    ['1u', 1, 1],
    ['-1500m', -1500, -1],
  ])('%s is %d thousandths, or %d whole ones', (text, millis, whole) => {
    expect(milliValue(text)).toBe(millis)
    expect(wholeValue(text)).toBe(whole)
  })

  it.each([
    ['1', '1000m', 0],
    ['1Gi', '1G', 1],
    ['100m', '0.2', -1],
    [undefined, '0', 0],
    ['9007199254740993', '9007199254740992', 1],
  ])('%s compared with %s is %d', (a, b, order) => {
    expect(compareQuantities(a, b)).toBe(order)
  })

  it('adds and subtracts exactly and keeps the suffix family', () => {
    expect(addQuantities('100m', '0.9')).toBe('1')
    expect(addQuantities('1Gi', '1Mi')).toBe('1025Mi')
    expect(addQuantities('0', '1Ki')).toBe('1Ki')
    expect(subtractQuantities('2Gi', '1024Mi')).toBe('1Gi')
    expect(maxQuantity('1500m', '1')).toBe('1500m')
  })

  it('is made from numbers', () => {
    expect(bytesQuantity(2 * 1024 ** 3)).toBe('2Gi')
    expect(milliQuantity(940)).toBe('940m')
    expect(milliQuantity(4000)).toBe('4')
  })
})
