// The state of our Pub/Sub server and what its calls do with it; gRPC itself is in pubsub-server.ts.

import { parseFilter } from './pubsub-filter.ts'
import { createPushConsumer } from './pubsub-push-consumer.ts'
import { createQueue } from './pubsub-queue.ts'
import { WireError, toTimestamp } from './pubsub-wire.ts'
import type { Filter } from './pubsub-filter.ts'
import type { Queue } from './pubsub-queue.ts'
import type { WireMessage, WireSubscription, WireTopic } from './pubsub-wire.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

const INVALID_ARGUMENT = 3
const NOT_FOUND = 5
const ALREADY_EXISTS = 6

const ID = /^(?!goog)[A-Za-z][\w.~+%-]{2,254}$/

interface Subscription {
  queue: Queue
  filter: Filter
  stopPush: () => void
}

export interface Broker {
  createTopic(topic: WireTopic): WireTopic
  getTopic(name: string): WireTopic
  deleteTopic(name: string): void
  /** Topics of `projects/P`. */
  listTopics(project: string): WireTopic[]
  /** Answers the new messages' ids. */
  publish(topic: string, messages: WireMessage[]): string[]
  createSubscription(config: WireSubscription): WireSubscription
  updateSubscription(config: WireSubscription, paths: string[]): WireSubscription
  modifyPush(name: string, pushConfig: WireSubscription['pushConfig']): void
  deleteSubscription(name: string): void
  listSubscriptions(project: string): WireSubscription[]
  subscriptionsOf(topic: string): string[]
  queue(name: string): Queue
  /** Forgets all topics and subscriptions. */
  reset(): void
}

/** A broker without topics. */
export function createBroker(clock: Clock, log: Log): Broker {
  const topics = new Map<string, WireTopic>()
  const subscriptions = new Map<string, Subscription>()
  let nextId = 1

  function subscription(name: string): Subscription {
    const found = subscriptions.get(name)
    if (!found)
      throw new WireError(NOT_FOUND, `Subscription does not exist (resource=${idOf(name)})`)
    return found
  }

  function topic(name: string): WireTopic {
    const found = topics.get(name)
    if (!found) throw new WireError(NOT_FOUND, `Topic not found (resource=${idOf(name)})`)
    return found
  }

  /** Starts to push when the configuration says so. */
  function startPush(queue: Queue): () => void {
    const endpoint = queue.config.pushConfig?.pushEndpoint
    if (!endpoint) return () => undefined
    const stopping = new AbortController()
    const detach = queue.attach(createPushConsumer(queue, endpoint, stopping.signal, log))
    return () => {
      detach()
      stopping.abort()
    }
  }

  function configure(name: string, changed: Partial<WireSubscription>): WireSubscription {
    const found = subscription(name)
    found.queue.setConfig({ ...found.queue.config, ...changed })
    found.stopPush()
    found.stopPush = startPush(found.queue)
    return found.queue.config
  }

  function remove(name: string): void {
    const found = subscription(name)
    found.stopPush()
    found.queue.close()
    subscriptions.delete(name)
  }

  return {
    createTopic(created) {
      checkName(created.name)
      if (topics.has(created.name)) throw new WireError(ALREADY_EXISTS, 'Topic already exists')
      topics.set(created.name, created)
      return created
    },
    getTopic: topic,
    deleteTopic(name) {
      topic(name)
      topics.delete(name)
    },
    listTopics: (project) => [...topics.values()].filter(({ name }) => isIn(project, name)),
    publish(name, messages) {
      topic(name)
      return messages.map((message) => {
        const messageId = String(nextId++)
        const stored = { ...message, messageId, publishTime: toTimestamp(clock.now()) }
        for (const { queue, filter } of subscriptions.values()) {
          if (queue.config.topic === name && filter(message.attributes)) queue.add(stored)
        }
        return messageId
      })
    },
    createSubscription(config) {
      checkName(config.name)
      topic(config.topic)
      if (subscriptions.has(config.name)) {
        throw new WireError(ALREADY_EXISTS, 'Subscription already exists')
      }
      const filter = readFilter(config.filter)
      const queue = createQueue(
        { ...config, ackDeadlineSeconds: config.ackDeadlineSeconds || 10 },
        clock,
      )
      subscriptions.set(config.name, { queue, filter, stopPush: startPush(queue) })
      return queue.config
    },
    updateSubscription: (config, paths) => configure(config.name, pick(config, paths)),
    modifyPush: (name, pushConfig) => void configure(name, { pushConfig }),
    deleteSubscription: remove,
    listSubscriptions: (project) =>
      [...subscriptions.values()]
        .map(({ queue }) => queue.config)
        .filter(({ name }) => isIn(project, name)),
    subscriptionsOf: (name) =>
      [...subscriptions.values()]
        .filter(({ queue }) => queue.config.topic === topic(name).name)
        .map(({ queue }) => queue.config.name),
    queue: (name) => subscription(name).queue,
    reset() {
      for (const name of subscriptions.keys()) remove(name)
      topics.clear()
    },
  }
}

function readFilter(source: string): Filter {
  try {
    return parseFilter(source)
  } catch (error) {
    throw new WireError(INVALID_ARGUMENT, error instanceof Error ? error.message : String(error))
  }
}

/** The fields that an update mask names, as `ack_deadline_seconds`. */
function pick(config: WireSubscription, paths: string[]): Partial<WireSubscription> {
  const wanted = new Set(
    paths.map((path) =>
      path.replace(/\..*/, '').replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    ),
  )
  return Object.fromEntries(Object.entries(config).filter(([name]) => wanted.has(name)))
}

function checkName(name: string): void {
  if (!ID.test(idOf(name))) {
    throw new WireError(INVALID_ARGUMENT, `Invalid resource name given (name=${name}).`)
  }
}

function idOf(name: string): string {
  return name.split('/').at(-1) ?? ''
}

function isIn(project: string, name: string): boolean {
  return name.startsWith(`${project}/`)
}
