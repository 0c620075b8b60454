// A Pub/Sub server in this process, for machines without Java: agents and functions speak to it
// through the real client library, as they do to the official emulator. Unlike that one it applies
// filters and keeps the order of a key when a message is refused.

import { createRequire } from 'node:module'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { createBroker } from './pubsub-broker.ts'
import { WireError } from './pubsub-wire.ts'
import type { ServerDuplexStream, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js'
import type { Broker } from './pubsub-broker.ts'
import type { Consumer } from './pubsub-queue.ts'
import type {
  WireMessage,
  WirePullRequest,
  WireReceived,
  WireSubscription,
  WireTopic,
} from './pubsub-wire.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface PubsubServer {
  /** `127.0.0.1:PORT`, the value of PUBSUB_EMULATOR_HOST. */
  host: string
  /** Forgets all topics and subscriptions, as the emulator's POST /reset. */
  reset(): void
  stop(): Promise<void>
}

export interface PubsubServerOptions {
  clock: Clock
  log: Log
  /** Default: a free one. */
  port?: number
}

const MESSAGE_BYTES_MAX = 20 * 1024 * 1024
const PULL_WAIT_MS = 20_000

/** Starts a server with no topics on loopback. */
export async function startPubsubServer(options: PubsubServerOptions): Promise<PubsubServer> {
  const broker = createBroker(options.clock, options.log)
  const server = new Server({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX })
  server.addService(serviceOf('google.pubsub.v1.Publisher'), publisher(broker))
  server.addService(serviceOf('google.pubsub.v1.Subscriber'), {
    ...subscriber(broker),
    pull: (call: Call<PullRequest>, answer: sendUnaryData<unknown>) =>
      void pull(broker, options.clock, call.request).then(
        (receivedMessages) => answer(null, { receivedMessages }),
        (error: unknown) => answer(refusal(error)),
      ),
    streamingPull: (call: PullStream) => streamingPull(broker, call),
  })
  const port = await new Promise<number>((resolve, reject) => {
    const address = `127.0.0.1:${options.port ?? 0}`
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return {
    host: `127.0.0.1:${port}`,
    reset: () => broker.reset(),
    async stop() {
      broker.reset()
      server.forceShutdown()
    },
  }
}

interface Call<Request> {
  request: Request
}

interface PullRequest {
  subscription: string
  returnImmediately: boolean
  maxMessages: number
}

type PullStream = ServerDuplexStream<WirePullRequest, { receivedMessages: WireReceived[] }>

/** The client's own description of the service, so that both sides always agree. */
function serviceOf(name: string): ServiceDefinition {
  const load = createRequire(import.meta.url)
  const definitions = fromJSON(load('@google-cloud/pubsub/build/protos/protos.json'), {
    keepCase: false,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  })
  const found = definitions[name]
  if (!found || 'format' in found) throw new Error(`the Pub/Sub client does not describe ${name}`)
  return found
}

/** A handler of one call: its result is the answer, what it throws the refusal. */
function unary<Request>(work: (request: Request) => object | void) {
  return (call: Call<Request>, answer: sendUnaryData<unknown>): void => {
    try {
      answer(null, work(call.request) ?? {})
    } catch (error) {
      answer(refusal(error))
    }
  }
}

function refusal(error: unknown): { code: number; message: string } {
  if (error instanceof WireError) return { code: error.code, message: error.message }
  return { code: 13, message: error instanceof Error ? error.message : String(error) }
}

function publisher(broker: Broker) {
  return {
    createTopic: unary((topic: WireTopic) => broker.createTopic(topic)),
    getTopic: unary((request: { topic: string }) => broker.getTopic(request.topic)),
    deleteTopic: unary((request: { topic: string }) => broker.deleteTopic(request.topic)),
    listTopics: unary((request: { project: string }) => ({
      topics: broker.listTopics(request.project),
    })),
    listTopicSubscriptions: unary((request: { topic: string }) => ({
      subscriptions: broker.subscriptionsOf(request.topic),
    })),
    publish: unary((request: { topic: string; messages: WireMessage[] }) => ({
      messageIds: broker.publish(request.topic, request.messages),
    })),
  }
}

interface UpdateRequest {
  subscription: WireSubscription
  updateMask: { paths: string[] } | null
}

interface DeadlineRequest {
  subscription: string
  ackIds: string[]
  ackDeadlineSeconds: number
}

function subscriber(broker: Broker) {
  return {
    createSubscription: unary((config: WireSubscription) => broker.createSubscription(config)),
    getSubscription: unary(
      (request: { subscription: string }) => broker.queue(request.subscription).config,
    ),
    updateSubscription: unary(({ subscription, updateMask }: UpdateRequest) =>
      broker.updateSubscription(subscription, updateMask?.paths ?? []),
    ),
    modifyPushConfig: unary(
      (request: { subscription: string; pushConfig: WireSubscription['pushConfig'] }) =>
        broker.modifyPush(request.subscription, request.pushConfig),
    ),
    deleteSubscription: unary((request: { subscription: string }) =>
      broker.deleteSubscription(request.subscription),
    ),
    listSubscriptions: unary((request: { project: string }) => ({
      subscriptions: broker.listSubscriptions(request.project),
    })),
    acknowledge: unary((request: { subscription: string; ackIds: string[] }) => {
      const queue = broker.queue(request.subscription)
      for (const ackId of request.ackIds) queue.ack(ackId)
    }),
    modifyAckDeadline: unary(({ subscription, ackIds, ackDeadlineSeconds }: DeadlineRequest) => {
      const queue = broker.queue(subscription)
      for (const ackId of ackIds) queue.modifyDeadline(ackId, ackDeadlineSeconds)
    }),
  }
}

/** One pull: waits for the first message, then takes what else is there. */
async function pull(broker: Broker, clock: Clock, request: PullRequest): Promise<WireReceived[]> {
  const received: WireReceived[] = []
  const arrived = new AbortController()
  const detach = broker.queue(request.subscription).attach({
    room: () => Math.max(1, request.maxMessages) - received.length,
    send(message) {
      received.push(message)
      arrived.abort()
    },
  })
  await clock.sleep(request.returnImmediately ? 1 : PULL_WAIT_MS, arrived.signal)
  detach()
  return received
}

function streamingPull(broker: Broker, call: PullStream): void {
  let detach = (): void => undefined
  let isOpen = false

  function open(request: WirePullRequest): void {
    const most = Number(request.maxOutstandingMessages)
    let outstanding = 0
    const consumer: Consumer = {
      ackDeadlineSeconds: request.streamAckDeadlineSeconds,
      room: () => (most > 0 ? most - outstanding : Number.POSITIVE_INFINITY),
      send(received) {
        outstanding++
        call.write({ receivedMessages: [received] })
      },
      settled: () => outstanding--,
    }
    detach = broker.queue(request.subscription).attach(consumer)
    isOpen = true
  }

  let name = ''
  call.on('data', (request: WirePullRequest) => {
    name ||= request.subscription
    try {
      if (!isOpen) open(request)
      const queue = broker.queue(name)
      for (const ackId of request.ackIds) queue.ack(ackId)
      for (const [index, ackId] of request.modifyDeadlineAckIds.entries()) {
        queue.modifyDeadline(ackId, request.modifyDeadlineSeconds[index] ?? 0)
      }
    } catch (error) {
      detach()
      call.emit('error', refusal(error))
    }
  })
  call.on('end', () => {
    detach()
    call.end()
  })
  call.on('cancelled', () => detach())
  call.on('error', () => detach())
}
