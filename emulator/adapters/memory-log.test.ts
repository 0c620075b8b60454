import { expect, test } from 'vitest'
import { logContract } from '#test/contract/log.ts'
import { createMemoryLog } from './memory-log.ts'

logContract('the memory log', () => {
  const log = createMemoryLog()
  return {
    log,
    entries: () =>
      log.entries.map(({ severity, message, fields }) => ({ ...fields, severity, message })),
  }
})

test('it keeps the newest entries', () => {
  const log = createMemoryLog({ limit: 2 })
  for (const message of ['a', 'b', 'c']) log.info(message)
  expect(log.entries.map((entry) => entry.message)).toEqual(['b', 'c'])
})
