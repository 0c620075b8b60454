import { describe, expect, it } from 'vitest'
import {
  resolveIntOrPercent,
  resolveRollingUpdate,
  validateAtMostHundredPercent,
  validateIntOrPercent,
} from './int-or-percent.ts'

describe('numbers that may be percentages', () => {
  it.each<[number | string, number, 'up' | 'down', number | undefined]>([
    [3, 10, 'up', 3],
    ['25%', 4, 'up', 1],
    ['25%', 10, 'up', 3],
    ['25%', 10, 'down', 2],
    ['0%', 10, 'up', 0],
    ['150%', 2, 'up', 3],
    ['ten', 10, 'up', undefined],
  ])('%s of %d rounded %s is %s', (value, total, rounding, expected) => {
    expect(resolveIntOrPercent(value, total, rounding)).toBe(expected)
  })

  it.each<[number | string | undefined, number | string | undefined, number, number, number]>([
    [undefined, undefined, 2, 1, 0],
    [undefined, undefined, 10, 3, 2],
    [0, 0, 5, 0, 1],
    [0, '10%', 5, 0, 1],
    ['0%', '25%', 4, 0, 1],
    [1, 9, 3, 1, 3],
  ])('maxSurge %s and maxUnavailable %s of %d pods: %d more, %d fewer', (...row) => {
    const [maxSurge, maxUnavailable, replicas, surge, unavailable] = row
    expect(resolveRollingUpdate(maxSurge, maxUnavailable, replicas)).toEqual({ surge, unavailable })
  })

  it.each<[unknown, string | undefined]>([
    [1, undefined],
    ['10%', undefined],
    [-1, 'Invalid value: -1: must be greater than or equal to 0'],
    ['10', 'Invalid value: "10": a valid percent string must be a numeric string followed by'],
    ['-10%', 'Invalid value: "-10%": a valid percent string'],
  ])('%j is refused with %s', (value, message) => {
    const [cause] = validateIntOrPercent('spec.maxSurge', value)
    if (message === undefined) expect(cause).toBeUndefined()
    else expect(cause?.message).toContain(message)
  })

  it('refuses more than all', () => {
    expect(validateAtMostHundredPercent('f', '101%')).toMatchObject([
      { field: 'f', message: 'Invalid value: "101%": must not be greater than 100%' },
    ])
    expect(validateAtMostHundredPercent('f', '100%')).toEqual([])
    expect(validateAtMostHundredPercent('f', 101)).toEqual([])
  })
})
