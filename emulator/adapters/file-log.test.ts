import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { logContract } from '#test/contract/log.ts'
import { createFileLog } from './file-log.ts'

const dir = mkdtempSync(join(tmpdir(), 'wherry-log-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const clock = { now: () => 1_700_000_000_000 }
let count = 0

function read(path: string): Record<string, unknown>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

logContract('the file log', () => {
  const path = join(dir, `${count++}`, 'wherry.log')
  return { log: createFileLog({ path, clock }), entries: () => read(path) }
})

test('it goes on where it stopped, and stays bounded', () => {
  const path = join(dir, 'bounded', 'wherry.log')
  createFileLog({ path, clock, maxBytes: 1000 }).info('first run')
  const log = createFileLog({ path, clock, maxBytes: 1000 })
  log.info('second run')
  expect(read(path).map((line) => line['message'])).toEqual(['first run', 'second run'])
  for (let index = 0; index < 100; index++) log.info('line', { index })
  expect(readdirSync(join(dir, 'bounded')).sort()).toEqual(['wherry.log', 'wherry.log.1'])
  expect(statSync(path).size).toBeLessThanOrEqual(1000)
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(1000)
  expect(read(path).at(-1)).toMatchObject({ index: 99 })
})

test('a file that cannot be written does not stop the program', () => {
  const path = join(dir, 'gone', 'wherry.log')
  const log = createFileLog({ path, clock })
  rmSync(join(dir, 'gone'), { recursive: true })
  log.info('nobody hears this')
})
