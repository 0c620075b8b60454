import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import { PubSub, v1 } from '@google-cloud/pubsub'
import { expect, onTestFinished, test } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { decodePush } from '#functions/adapters/pubsub-push.ts'
import { createPubsubBus } from '#functions/adapters/pubsub-bus.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { busContract, eventually } from '#test/contract/bus.ts'
import { startPubsubServer } from './pubsub-server.ts'
import type { AddressInfo } from 'node:net'

const clock = createSystemClock()

function openBus(host: string) {
  const projectId = `p-${randomUUID().slice(0, 8)}`
  return createPubsubBus({ projectId, host, create: true, clock, log: createMemoryLog() })
}

busContract('the Pub/Sub bus on our own server', async () => {
  const server = await startPubsubServer({ clock, log: createMemoryLog() })
  const bus = openBus(server.host)
  return {
    bus,
    close: async () => {
      await bus.close()
      await server.stop()
    },
  }
})

async function open() {
  const server = await startPubsubServer({ clock, log: createMemoryLog() })
  const pubsub = new PubSub({ projectId: 'p', apiEndpoint: server.host, emulatorMode: true })
  onTestFinished(async () => {
    await pubsub.close()
    await server.stop()
  })
  const [topic] = await pubsub.createTopic('topic')
  return { server, pubsub, topic }
}

test('the answers to wrong calls have Pub/Sub’s codes', async () => {
  const { pubsub, topic } = await open()
  await expect(pubsub.createTopic('topic')).rejects.toMatchObject({ code: 6 })
  await expect(pubsub.createTopic('t')).rejects.toMatchObject({ code: 3 })
  await expect(pubsub.topic('nope').publishMessage({ json: {} })).rejects.toMatchObject({ code: 5 })
  await expect(pubsub.createSubscription('nope', 'sub')).rejects.toMatchObject({ code: 5 })
  await expect(topic.createSubscription('sub', { filter: 'bogus' })).rejects.toMatchObject({
    code: 3,
  })
  await topic.createSubscription('sub')
  await expect(topic.createSubscription('sub')).rejects.toMatchObject({ code: 6 })
  await pubsub.subscription('sub').delete()
  await expect(pubsub.subscription('sub').delete()).rejects.toMatchObject({ code: 5 })
})

test('topics and subscriptions are listed by project; reset forgets them', async () => {
  const { server, pubsub, topic } = await open()
  await topic.createSubscription('sub')
  expect((await pubsub.getTopics())[0].map(({ name }) => name)).toEqual(['projects/p/topics/topic'])
  expect((await pubsub.getSubscriptions())[0].map(({ name }) => name)).toEqual([
    'projects/p/subscriptions/sub',
  ])
  expect((await topic.getSubscriptions())[0]).toHaveLength(1)
  server.reset()
  expect((await pubsub.getTopics())[0]).toEqual([])
  expect((await pubsub.getSubscriptions())[0]).toEqual([])
})

test('a message that is neither acknowledged nor refused comes again', async () => {
  const { server, topic } = await open()
  await topic.createSubscription('sub', { ackDeadlineSeconds: 1 })
  const [servicePath = '', port] = server.host.split(':')
  const client = new v1.SubscriberClient({
    servicePath,
    port: Number(port),
    sslCreds: new PubSub({ apiEndpoint: server.host, emulatorMode: true }).options.sslCreds,
  })
  onTestFinished(() => client.close())
  const subscription = 'projects/p/subscriptions/sub'
  await topic.publishMessage({ data: Buffer.from('x') })
  const [first] = await client.pull({ subscription, maxMessages: 5 })
  const [again] = await client.pull({ subscription, maxMessages: 5 })
  expect(first.receivedMessages?.[0]?.message?.messageId).toBe(
    again.receivedMessages?.[0]?.message?.messageId,
  )
  expect(again.receivedMessages?.[0]?.deliveryAttempt).toBe(2)
  await client.acknowledge({
    subscription,
    ackIds: [again.receivedMessages?.[0]?.ackId ?? ''],
  })
  const [empty] = await client.pull({ subscription, maxMessages: 5, returnImmediately: true })
  expect(empty.receivedMessages).toEqual([])
})

test('push: the wrapped message arrives, a refusal comes again, a key keeps its order', async () => {
  const { pubsub, topic } = await open()
  const seen: string[] = []
  let isRefused = false
  const endpoint = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const message = decodePush(Buffer.concat(chunks))
      const id = message?.attributes['id'] ?? ''
      const shouldRefuse = id === '1' && !isRefused
      if (shouldRefuse) isRefused = true
      else seen.push(`${id} ${message?.orderingKey} ${message?.data}`)
      response.writeHead(shouldRefuse ? 500 : 204).end()
    })
  })
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void endpoint.close())
  const { port } = endpoint.address() as AddressInfo
  await topic.createSubscription('sub', {
    enableMessageOrdering: true,
    pushEndpoint: `http://127.0.0.1:${port}/projects/p/topics/topic`,
  })
  const ordered = pubsub.topic('topic', { messageOrdering: true })
  for (const id of ['0', '1', '2']) {
    await ordered.publishMessage({ attributes: { id }, data: Buffer.from('{}'), orderingKey: 'k' })
  }
  // At least once: on a busy machine an answer may come after the lease has ended.
  const distinct = (): string[] => [...new Set(seen)]
  await eventually('all three', () => distinct().length === 3)
  expect(distinct()).toEqual(['0 k {}', '1 k {}', '2 k {}'])
})

test('a server that comes back empty: subscribers and publishers go on', async () => {
  const first = await startPubsubServer({ clock, log: createMemoryLog() })
  const bus = openBus(first.host)
  const seen: string[] = []
  await bus.subscribe(TOPICS.changes, 'sub-a', async ({ attributes }) => {
    seen.push(attributes['id'] ?? '')
  })
  await bus.publish(TOPICS.changes, { attributes: { id: 'before' }, data: '{}' })
  await eventually('the first message', () => seen.includes('before'))
  await first.stop()
  const port = Number(first.host.split(':')[1])
  const second = await startPubsubServer({ clock, log: createMemoryLog(), port })
  await eventually('a message arrives again', () => {
    void bus.publish(TOPICS.changes, { attributes: { id: 'after' }, data: '{}' }).catch(() => {})
    return seen.includes('after')
  })
  await bus.close()
  await second.stop()
})
