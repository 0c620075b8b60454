import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { eventually } from '#test/contract/bus.ts'
import { freePort } from './free-port.ts'
import { readBody } from './read-body.ts'
import { startTasksServer } from './tasks-server.ts'

const QUEUE = 'projects/p/locations/l/queues/q'

async function open() {
  const clock = createManualClock()
  const tasks = await startTasksServer({ clock, log: createMemoryLog() })
  const calls: { body: string; headers: Record<string, unknown> }[] = []
  const answers: number[] = []
  const target = createServer((request, response) => {
    void readBody(request, 1000).then((body) => {
      calls.push({ body: body.toString(), headers: request.headers })
      return response.writeHead(answers.shift() ?? 200).end()
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => target.listen(port, '127.0.0.1', resolve))
  onTestFinished(async () => {
    await tasks.stop()
    target.closeAllConnections()
    target.close()
  })
  const call = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${tasks.url}/v2/${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const answer: unknown = await response.json()
    return { status: response.status, answer }
  }
  const task = (id: string, inMs: number) => ({
    task: {
      name: `${QUEUE}/tasks/${id}`,
      scheduleTime: new Date(clock.now() + inMs).toISOString(),
      httpRequest: {
        url: `http://127.0.0.1:${port}/hook`,
        headers: { 'x-mine': 'yes' },
        body: Buffer.from('hello').toString('base64'),
      },
    },
  })
  return { clock, tasks, calls, answers, call, task }
}

test('a task is dispatched at its time with Cloud Tasks’ headers', async () => {
  const { clock, tasks, calls, call, task } = await open()
  expect(await call('POST', `${QUEUE}/tasks`, task('a', 1000))).toMatchObject({ status: 200 })
  expect(await call('GET', `${QUEUE}/tasks`)).toMatchObject({
    answer: { tasks: [{ name: `${QUEUE}/tasks/a` }] },
  })
  await clock.advance(1000)
  await eventually('the call', () => calls.length > 0 && tasks.pending().length === 0)
  expect(calls).toMatchObject([
    {
      body: 'hello',
      headers: {
        'x-mine': 'yes',
        'x-cloudtasks-queuename': 'q',
        'x-cloudtasks-taskname': 'a',
        'x-cloudtasks-taskretrycount': '0',
      },
    },
  ])
})

test('a name is taken while its task waits and for an hour after', async () => {
  const { clock, tasks, calls, call, task } = await open()
  await call('POST', `${QUEUE}/tasks`, task('a', 1000))
  const taken = { status: 409, answer: { error: { code: 409, status: 'ALREADY_EXISTS' } } }
  expect(await call('POST', `${QUEUE}/tasks`, task('a', 1000))).toMatchObject(taken)
  await clock.advance(1000)
  await eventually('it has run', () => calls.length === 1 && tasks.pending().length === 0)
  expect(await call('POST', `${QUEUE}/tasks`, task('a', 1000))).toMatchObject(taken)
  await clock.advance(3_600_000)
  expect(await call('POST', `${QUEUE}/tasks`, task('a', 1000))).toMatchObject({ status: 200 })
})

test('a target that refuses is called again, later each time', async () => {
  const { clock, tasks, calls, answers, call, task } = await open()
  answers.push(500, 503)
  await call('POST', `${QUEUE}/tasks`, task('a', 0))
  await eventually('the first attempt', () => calls.length === 1)
  await eventually('the pause', () => clock.nextWake() !== undefined)
  expect((clock.nextWake() ?? 0) - clock.now()).toBe(100)
  await clock.advance(100)
  await eventually('the second attempt', () => calls.length === 2)
  await eventually('the pause', () => clock.nextWake() !== undefined)
  expect((clock.nextWake() ?? 0) - clock.now()).toBe(200)
  await clock.advance(200)
  await eventually('the third attempt', () => tasks.pending().length === 0)
  expect(calls.map(({ headers }) => headers['x-cloudtasks-taskretrycount'])).toEqual([
    '0',
    '1',
    '2',
  ])
})

test('a deleted task does not run; wrong ones are refused as Google does', async () => {
  const { clock, tasks, calls, call, task } = await open()
  await call('POST', `${QUEUE}/tasks`, task('a', 1000))
  expect(await call('DELETE', `${QUEUE}/tasks/a`)).toEqual({ status: 200, answer: {} })
  expect(await call('DELETE', `${QUEUE}/tasks/a`)).toMatchObject({ status: 404 })
  expect(await call('GET', `${QUEUE}/tasks/a`)).toMatchObject({ status: 404 })
  await clock.advance(2000)
  expect(tasks.pending()).toEqual([])
  expect(calls).toEqual([])
  const refused = { status: 400, answer: { error: { status: 'INVALID_ARGUMENT' } } }
  const far = task('far', 31 * 86_400_000)
  expect(await call('POST', `${QUEUE}/tasks`, far)).toMatchObject(refused)
  expect(await call('POST', `${QUEUE}/tasks`, task('a b', 0))).toMatchObject(refused)
  expect(await call('POST', `${QUEUE}/tasks`, { task: {} })).toMatchObject(refused)
  expect(await call('GET', 'nowhere')).toMatchObject({ status: 404 })
})
