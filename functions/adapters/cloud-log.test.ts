import { expect, test } from 'vitest'
import { logContract } from '#test/contract/log.ts'
import { createCloudLog } from './cloud-log.ts'

function make(fields = {}) {
  const lines: string[] = []
  const clock = { now: () => Date.UTC(2026, 10, 22, 15, 4, 5, 123) }
  const log = createCloudLog({ clock, write: (line) => void lines.push(line), fields })
  return { log, lines, entries: () => lines.map((line) => JSON.parse(line)) }
}

logContract('the cloud log', make)

test('a line is one JSON object that Cloud Logging reads by itself', () => {
  const { log, lines } = make({ function: 'sweep' })
  log.error('broken', { error: new Error('why'), message: 'a field of the same name' })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^\{.*\}\n$/)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    severity: 'ERROR',
    time: '2026-11-22T15:04:05.123000Z',
    message: 'broken',
    _message: 'a field of the same name',
    stack_trace: expect.stringContaining('Error: why'),
    function: 'sweep',
  })
})
