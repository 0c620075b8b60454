import { expect, onTestFinished, test } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { eventually } from '#test/contract/bus.ts'
import { hostFunctions } from './functions-host.ts'
import { startScheduler } from './scheduler.ts'

test('it runs each minute, also after a run that failed, until it is ended', async () => {
  const clock = createManualClock()
  const log = createMemoryLog()
  let runs = 0
  const target = async (): Promise<void> => {
    runs++
    if (runs === 2) throw new Error('not this time')
  }
  const end = startScheduler({ name: 'sweep', target, clock, log })
  expect(runs).toBe(0)
  await clock.advance(59_999)
  expect(runs).toBe(0)
  await clock.advance(1)
  expect(runs).toBe(1)
  await clock.advance(120_000)
  expect(runs).toBe(3)
  expect(log.entries).toMatchObject([{ severity: 'WARNING', message: /sweep did not/ }])
  await end()
  await clock.advance(120_000)
  expect(runs).toBe(3)
})

test('a URL is called by POST', async () => {
  const calls: string[] = []
  const host = await hostFunctions({
    functions: {
      sweep: {
        type: 'http',
        handler: (request, response) => {
          calls.push(`${request.method} ${request.url} ${request.headers['user-agent']}`)
          response.end()
        },
      },
    },
  })
  const clock = createManualClock()
  const end = startScheduler({
    name: 'sweep',
    target: host.urls.sweep,
    clock,
    log: createMemoryLog(),
    intervalMs: 1000,
  })
  onTestFinished(async () => {
    await end()
    await host.close()
  })
  await clock.advance(1000)
  await eventually('the call', () => calls.length > 0)
  expect(calls).toEqual(['POST / Google-Cloud-Scheduler'])
})
