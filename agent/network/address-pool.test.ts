import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAddressPool } from './address-pool.ts'

describe('pod addresses', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wherry-pool-'))
    file = join(folder, 'addresses.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('an owner keeps its address, over a restart too', () => {
    expect(openAddressPool('10.4.1.0/24', file).take('a')).toBe('10.4.1.2')
    const again = openAddressPool('10.4.1.0/24', file)
    expect(again.take('a')).toBe('10.4.1.2')
    expect(again.take('b')).toBe('10.4.1.3')
  })

  test('a freed address comes round last', () => {
    const pool = openAddressPool('10.4.1.0/29', file)
    const first = ['a', 'b', 'c', 'd', 'e'].map((owner) => pool.take(owner))
    expect(first).toEqual(['10.4.1.2', '10.4.1.3', '10.4.1.4', '10.4.1.5', '10.4.1.6'])
    expect(() => pool.take('f')).toThrow('no IP addresses available in range set: 10.4.1.0/29')
    pool.free('b')
    pool.free('d')
    expect([pool.take('f'), pool.take('g')]).toEqual(['10.4.1.3', '10.4.1.5'])
  })

  test('freed addresses are not given out again at once', () => {
    const pool = openAddressPool('10.4.1.0/24', file)
    pool.take('a')
    pool.free('a')
    expect(pool.take('b')).toBe('10.4.1.3')
    pool.keepOnly(new Set())
    expect(pool.take('c')).toBe('10.4.1.4')
  })

  test('another range begins anew', () => {
    openAddressPool('10.4.1.0/24', file).take('a')
    expect(openAddressPool('10.4.2.0/24', file).take('a')).toBe('10.4.2.2')
  })
})
