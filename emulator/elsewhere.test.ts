import { expect, test } from 'vitest'
import { newElsewhere } from './elsewhere.ts'

const at = (host: string, hostPort: number) => ({
  rule: 'a1',
  region: 'us-east1',
  address: '127.0.1.1',
  port: 80,
  host,
  hostPort,
})

test('a listener at its own address needs no word', () => {
  expect(newElsewhere([at('127.0.1.1', 80)], new Set())).toEqual([])
})

test('one that is elsewhere is named once, and again when it moves', () => {
  const known = new Set<string>()
  expect(newElsewhere([at('127.0.0.1', 4321)], known)).toEqual([
    '127.0.1.1:80 cannot be had on this machine, open http://127.0.0.1:4321',
  ])
  expect(newElsewhere([at('127.0.0.1', 4321)], known)).toEqual([])
  expect(newElsewhere([at('127.0.0.1', 4322)], known)).toHaveLength(1)
})
