import { PubSub } from '@google-cloud/pubsub'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { decodePush } from '#functions/adapters/pubsub-push.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { eventually } from '#test/contract/bus.ts'
import { hostFunctions } from './functions-host.ts'
import { startPubsubServer } from './pubsub-server.ts'
import type { EventFunction, HttpFunction } from './functions-host.ts'

async function host<Name extends string>(functions: Record<Name, HttpFunction | EventFunction>) {
  const hosted = await hostFunctions({ functions })
  onTestFinished(() => hosted.close())
  return hosted.urls
}

/** A Hono app as the api function wraps one. */
function honoFunction(app: Hono): HttpFunction {
  const listener = getRequestListener((request) => app.fetch(request), {
    overrideGlobalObjects: false,
  })
  return { type: 'http', handler: (request, response) => listener(request, response) }
}

const echo = new Hono().all('*', async (context) =>
  context.json({
    path: new URL(context.req.url).pathname,
    query: context.req.query('a') ?? null,
    type: context.req.header('content-type') ?? null,
    body: Buffer.from(await context.req.arrayBuffer()).toString('latin1'),
  }),
)

test('each function has its own path; what is none is not found', async () => {
  const urls = await host({ one: honoFunction(echo), two: honoFunction(echo) })
  const get = async (url: string) => (await fetch(url)).json()
  expect(await get(`${urls.one}/api/v1?a=b`)).toMatchObject({ path: '/api/v1', query: 'b' })
  expect(await get(urls.two)).toMatchObject({ path: '/' })
  expect(await get(`${urls.two}?a=c`)).toMatchObject({ path: '/', query: 'c' })
  const three = urls.one.replace(/one$/, 'three')
  expect((await fetch(three)).status).toBe(404)
})

test('the bytes of a body arrive as they were sent, JSON or not, well formed or not', async () => {
  const { api } = await host({ api: honoFunction(echo) })
  const bodies: [string, string][] = [
    ['application/json', '{ "a" :1 }\n'],
    ['application/json; charset=utf-8', '{ broken'],
    ['application/json', '"text"'],
    ['application/merge-patch+json', '{"a":1}'],
    ['application/vnd.kubernetes.protobuf', 'k8s\u0000\u00ff\u0001'],
    ['application/x-www-form-urlencoded', 'a=%20b'],
    ['text/plain', ' text '],
  ]
  for (const [type, body] of bodies) {
    const response = await fetch(api, {
      method: 'POST',
      headers: { 'content-type': type },
      body: Buffer.from(body, 'latin1'),
    })
    expect(await response.json()).toMatchObject({ type, body })
  }
})

test('a stream flows while the handler still writes', async () => {
  let finish = (): void => undefined
  const app = new Hono().get('/', () => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from('first\n'))
        finish = () => {
          controller.enqueue(Buffer.from('last\n'))
          controller.close()
        }
      },
    })
    return new Response(stream)
  })
  const { api } = await host({ api: honoFunction(app) })
  const reader = (await fetch(api)).body?.getReader()
  const first = await reader?.read()
  expect(Buffer.from(first?.value ?? []).toString()).toBe('first\n')
  finish()
  const last = await reader?.read()
  expect(Buffer.from(last?.value ?? []).toString()).toBe('last\n')
})

test('a WebSocket reaches the function that takes it, with its path', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('connection', (socket: WebSocket, request: { url?: string }) => {
    socket.on('message', (data: Buffer) => socket.send(`${request.url} ${data.toString()}`))
  })
  const { api, plain } = await host({
    api: {
      ...honoFunction(echo),
      upgrade: (request, socket, head) =>
        sockets.handleUpgrade(request, socket, head, (client) =>
          sockets.emit('connection', client, request),
        ),
    },
    plain: honoFunction(echo),
  })
  const client = new WebSocket(`${api.replace('http', 'ws')}/exec?a=b`)
  const answers: string[] = []
  client.on('open', () => client.send('hello'))
  client.on('message', (data: Buffer) => answers.push(data.toString()))
  await eventually('the answer', () => answers.length > 0)
  expect(answers).toEqual(['/exec?a=b hello'])
  client.terminate()

  const errors: string[] = []
  new WebSocket(plain.replace('http', 'ws')).on('error', (error) => errors.push(error.message))
  await eventually('the refusal', () => errors.length > 0)
  expect(errors[0]).toContain('404')
})

test('a Pub/Sub push is a CloudEvent; a rejection brings it again', async () => {
  const events: unknown[] = []
  const { reconcile } = await host({
    reconcile: {
      type: 'cloudEvent',
      handler: async (event) => {
        events.push(event)
        if (events.length === 1) throw new Error('not yet')
      },
    },
  })
  const server = await startPubsubServer({ clock: createSystemClock(), log: createMemoryLog() })
  const pubsub = new PubSub({ projectId: 'p', apiEndpoint: server.host, emulatorMode: true })
  onTestFinished(async () => {
    await pubsub.close()
    await server.stop()
  })
  const [topic] = await pubsub.createTopic('wherry-changes')
  await topic.createSubscription('reconcile', {
    pushEndpoint: `${reconcile}/projects/p/topics/wherry-changes`,
  })
  await topic.publishMessage({ attributes: { cluster: 'dev' }, data: Buffer.from('{}') })
  await eventually('the second delivery', () => events.length === 2)
  expect(events[1]).toMatchObject({
    type: 'google.cloud.pubsub.topic.v1.messagePublished',
    source: '//pubsub.googleapis.com/projects/p/topics/wherry-changes',
  })
  expect(decodePush(events[1])).toEqual({ attributes: { cluster: 'dev' }, data: '{}' })
})

test('where the framework parses JSON the handler has the value', async () => {
  const bodies: unknown[] = []
  const { push } = await host({
    push: {
      type: 'http',
      isJsonParsed: true,
      handler: (request, response) => {
        if ('body' in request) bodies.push(request.body)
        response.end()
      },
    },
  })
  const send = (body: string) =>
    fetch(push, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  expect((await send('{"a":1}')).status).toBe(200)
  expect((await send('{ broken')).status).toBe(400)
  expect(bodies).toEqual([{ a: 1 }])
})

test('a name that cannot be one is refused', async () => {
  const wrong = { 'a/b': honoFunction(echo) }
  await expect(hostFunctions({ functions: wrong })).rejects.toThrow('a/b')
})
