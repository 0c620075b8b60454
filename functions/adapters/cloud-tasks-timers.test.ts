import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import { PassThroughClient } from 'google-auth-library'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { freePort } from '#emulator/google/free-port.ts'
import { readBody } from '#emulator/google/read-body.ts'
import { startTasksServer } from '#emulator/google/tasks-server.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { eventually } from '#test/contract/bus.ts'
import { timersContract } from '#test/contract/timers.ts'
import { createCloudTasksTimers } from './cloud-tasks-timers.ts'
import { createPubsubBus } from './pubsub-bus.ts'
import { fromPubsub } from './pubsub-message.ts'
import { createSystemClock } from './system-clock.ts'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WakeUp } from '#test/contract/timers.ts'
import type { Clock } from '#shared/ports/clock.ts'

async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<{ url: string; close: () => Promise<void> }> {
  const port = await freePort()
  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function timersAt(clock: Clock, tasksUrl: string, pubsubUrl: string, projectId = 'p') {
  return createCloudTasksTimers({
    projectId,
    location: 'europe-west1',
    queue: 'timers',
    serviceAccount: 'timers@p.iam.gserviceaccount.com',
    clock,
    authClient: new PassThroughClient(),
    tasksUrl,
    pubsubUrl,
    deadlineMs: 3000,
  })
}

/** Pub/Sub's REST publish, as far as a task uses it. */
async function publishEndpoint(wakeUps: WakeUp[]) {
  return serve(async (request, response) => {
    const [, topic] = /^\/v1\/projects\/p\/topics\/([\w-]+):publish$/.exec(request.url ?? '') ?? []
    const { messages } = JSON.parse((await readBody(request, 100_000)).toString())
    for (const message of messages) {
      wakeUps.push({
        topic: Object.values(TOPICS).find((name) => name === topic) ?? TOPICS.signals,
        message: fromPubsub({ ...message, data: Buffer.from(message.data, 'base64') }),
      })
    }
    response.end(JSON.stringify({ messageIds: messages.map(() => '1') }))
  })
}

timersContract('Cloud Tasks timers', async (clock) => {
  const wakeUps: WakeUp[] = []
  const pubsub = await publishEndpoint(wakeUps)
  const tasks = await startTasksServer({ clock, log: createMemoryLog() })
  const timers = timersAt(clock, tasks.url, pubsub.url)
  return {
    timers,
    wakeUps,
    close: async () => {
      await timers.close()
      await tasks.stop()
      await pubsub.close()
    },
  }
})

describe('towards Cloud Tasks', () => {
  test('what is transient is tried again, what is not is said', async () => {
    const answers = [503, 429, 200, 403]
    const bodies: string[] = []
    const google = await serve(async (request, response) => {
      bodies.push((await readBody(request, 100_000)).toString())
      const status = answers.shift() ?? 500
      response.writeHead(status).end(JSON.stringify({ error: { status: 'PERMISSION_DENIED' } }))
    })
    onTestFinished(() => google.close())
    const timers = timersAt(createSystemClock(), google.url, 'https://pubsub.googleapis.com')
    await timers.wake('dev', 2_000_000_000_000)
    expect(answers).toEqual([403])
    expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
      task: {
        name: expect.stringMatching(
          /^projects\/p\/locations\/europe-west1\/queues\/timers\/tasks\/[0-9a-f]{32}-\d+$/,
        ),
        httpRequest: {
          url: 'https://pubsub.googleapis.com/v1/projects/p/topics/wherry-changes:publish',
          oauthToken: { serviceAccountEmail: 'timers@p.iam.gserviceaccount.com' },
        },
      },
    })
    await expect(timers.wake('dev', 2_000_000_000_000)).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      message: expect.stringContaining('403'),
    })
  })

  test('a server that never answers hangs nobody', async () => {
    const silent = await serve(async () => undefined)
    onTestFinished(() => silent.close())
    const timers = createCloudTasksTimers({
      projectId: 'p',
      location: 'l',
      queue: 'q',
      serviceAccount: 'a',
      clock: createSystemClock(),
      authClient: new PassThroughClient(),
      tasksUrl: silent.url,
      deadlineMs: 300,
    })
    await expect(timers.wake('dev', 0)).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
  })
})

const host = process.env['PUBSUB_EMULATOR_HOST']

test.skipIf(!host)('a task’s publish reaches subscribers on the official emulator', async () => {
  const clock = createSystemClock()
  const log = createMemoryLog()
  const projectId = `p-${randomUUID().slice(0, 8)}`
  const bus = createPubsubBus({ projectId, host, create: true, clock, log })
  const tasks = await startTasksServer({ clock, log })
  onTestFinished(async () => {
    await tasks.stop()
    await bus.close()
  })
  const received: unknown[] = []
  await bus.subscribe(TOPICS.changes, 'sub-a', async (message) => void received.push(message))
  const timers = timersAt(clock, tasks.url, `http://${host}`, projectId)
  await timers.wake('dev', clock.now() + 50)
  await eventually('the message', () => received.length > 0)
  expect(received).toEqual([{ attributes: { cluster: 'dev' }, data: '{}', orderingKey: 'dev' }])
})
