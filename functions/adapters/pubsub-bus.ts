// The Bus on Google Cloud Pub/Sub, through the real client library: against Google, against the
// official emulator (PUBSUB_EMULATOR_HOST or `host`) and against emulator/google/pubsub-server.ts.

import { PubSub } from '@google-cloud/pubsub'
import { withDeadline } from './deadline.ts'
import { toPubsub, toPubsubFilter } from './pubsub-message.ts'
import { startSubscriber } from './pubsub-subscriber.ts'
import type { Topic as PubsubTopic } from '@google-cloud/pubsub'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Bus, Message, Topic } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface PubsubBusOptions {
  projectId: string
  clock: Clock
  log: Log
  /** `127.0.0.1:8085` of an emulator. Default: PUBSUB_EMULATOR_HOST, else Google. */
  host?: string | undefined
  /** Creates topics and subscriptions that are missing. In the cloud infra/ has made them. */
  create?: boolean
  /** How long a publish may take before it counts as failed. */
  deadlineMs?: number
}

export interface PubsubBus extends Bus {
  /** With `create`: makes all topics, so that others (the agents) can subscribe to them. */
  createTopics(): Promise<void>
  /** A cheap call that shows whether Pub/Sub answers. Error: ServiceUnavailable. */
  ping(): Promise<void>
  /** Ends all subscriptions and the connection. */
  close(): Promise<void>
}

const NOT_FOUND = 5
const ALREADY_EXISTS = 6

/** Codes after which the same call may succeed. UNKNOWN is what a dying emulator answers. */
const RETRY_CODES = [1, 2, 4, 8, 10, 13, 14]

/** A bus on this project's topics. */
export function createPubsubBus(options: PubsubBusOptions): PubsubBus {
  const { clock, log, create = false, deadlineMs = 10_000 } = options
  const pubsub = new PubSub({
    projectId: options.projectId,
    ...(options.host ? { apiEndpoint: options.host, emulatorMode: true } : {}),
  })
  const topics = new Map<Topic, PubsubTopic>()
  const ready = new Map<Topic, Promise<void>>()
  const ends = new Set<() => Promise<void>>()
  let published = 0

  function topicOf(name: Topic): PubsubTopic {
    const known = topics.get(name)
    if (known) return known
    const topic = pubsub.topic(name, {
      batching: { maxMessages: 1 },
      messageOrdering: true,
      gaxOpts: publishRetry(deadlineMs),
    })
    topics.set(name, topic)
    return topic
  }

  /** Makes sure that the topic is there, once, and again after the emulator has forgotten it. */
  function ensureTopic(name: Topic): Promise<void> {
    if (!create) return Promise.resolve()
    const known = ready.get(name)
    if (known) return known
    const made = unlessThere(pubsub.createTopic(name))
    ready.set(name, made)
    made.catch(() => ready.delete(name))
    return made
  }

  async function send(name: Topic, message: Message): Promise<void> {
    const topic = topicOf(name)
    try {
      await topic.publishMessage(toPubsub(message))
    } catch (error) {
      // After a failure the client refuses the key until it is told to go on.
      if (message.orderingKey !== undefined) topic.resumePublishing(message.orderingKey)
      throw error
    }
    published++
  }

  async function publish(name: Topic, message: Message): Promise<void> {
    await ensureTopic(name)
    try {
      await send(name, message)
    } catch (error) {
      if (!create || !hasCode(error, NOT_FOUND)) throw error
      ready.delete(name)
      await ensureTopic(name)
      await send(name, message)
    }
  }

  async function ensureSubscription(
    topic: Topic,
    name: string,
    filter: Record<string, string>,
  ): Promise<void> {
    if (!create) return
    ready.delete(topic)
    await ensureTopic(topic)
    await unlessThere(
      pubsub.createSubscription(topicOf(topic), name, {
        enableMessageOrdering: true,
        ackDeadlineSeconds: 30,
        ...(Object.keys(filter).length > 0 ? { filter: toPubsubFilter(filter) } : {}),
      }),
    )
  }

  return {
    publish: (topic, message) =>
      withDeadline(clock, deadlineMs, `publish to ${topic}`, publish(topic, message)),

    async subscribe(topic, name, handle, filter = {}) {
      const prepare = (): Promise<void> =>
        withDeadline(
          clock,
          deadlineMs,
          `subscribe ${name}`,
          ensureSubscription(topic, name, filter),
        )
      await prepare()
      const stop = startSubscriber({ pubsub, name, handle, filter, prepare, clock, log })
      ends.add(stop)
      return async () => {
        ends.delete(stop)
        await stop()
      }
    },

    published: () => published,

    async createTopics() {
      await Promise.all(Object.values(TOPICS).map(ensureTopic))
    },

    async ping() {
      const probe = pubsub.topic('wherry-changes').exists()
      await withDeadline(clock, deadlineMs, 'pubsub', probe)
    },

    async close() {
      await Promise.all([...ends].map((end) => end()))
      ends.clear()
      await pubsub.close()
    },
  }
}

function publishRetry(totalMs: number) {
  return {
    retry: {
      retryCodes: RETRY_CODES,
      backoffSettings: {
        initialRetryDelayMillis: 50,
        retryDelayMultiplier: 2,
        maxRetryDelayMillis: 1000,
        initialRpcTimeoutMillis: totalMs,
        rpcTimeoutMultiplier: 1,
        maxRpcTimeoutMillis: totalMs,
        totalTimeoutMillis: totalMs,
      },
    },
  }
}

async function unlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation
  } catch (error) {
    if (!hasCode(error, ALREADY_EXISTS)) throw error
  }
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
