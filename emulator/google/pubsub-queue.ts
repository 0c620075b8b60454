// One subscription of our Pub/Sub server: what waits, what is leased to whom, one message at a time
// of each ordering key, leases that run out, refusals that come again.

import { durationMs } from './pubsub-wire.ts'
import type { WireMessage, WireReceived, WireSubscription } from './pubsub-wire.ts'
import type { Clock } from '#shared/ports/clock.ts'

/** Somebody who receives messages: a stream, a waiting pull, a push endpoint. */
export interface Consumer {
  /** How many more messages it takes at the moment. */
  room(): number
  send(received: WireReceived): void
  /** One of its messages was acknowledged, refused or ran out of time. */
  settled?(): void
  /** Seconds it may keep a message. Default: the subscription's. */
  ackDeadlineSeconds?: number
}

export interface Queue {
  readonly config: WireSubscription
  setConfig(config: WireSubscription): void
  add(message: WireMessage): void
  ack(ackId: string): void
  /** Another deadline for a leased message; 0 refuses it. */
  modifyDeadline(ackId: string, seconds: number): void
  /** Answers what takes the consumer away; what it holds stays leased. */
  attach(consumer: Consumer): () => void
  close(): void
}

interface Item {
  message: WireMessage
  attempts: number
  notBeforeMs: number
  expiresAtMs: number
}

interface Lease {
  item: Item
  consumer: Consumer
  /** Ends the watch over its deadline. */
  cancel: () => void
}

const RETENTION_MS = 7 * 86_400_000
const DEADLINE_SECONDS = 10

/** An empty queue for a subscription. */
export function createQueue(initial: WireSubscription, clock: Clock): Queue {
  let config = initial
  let waiting: Item[] = []
  let nextAckId = 1
  let isPumping = false
  const leases = new Map<string, Lease>()
  const busyKeys = new Set<string>()
  const consumers: Consumer[] = []
  const closing = new AbortController()

  const keyOf = (item: Item): string =>
    config.enableMessageOrdering ? item.message.orderingKey : ''

  function pump(): void {
    if (isPumping || closing.signal.aborted) return
    isPumping = true
    queueMicrotask(() => {
      isPumping = false
      handOut()
    })
  }

  function handOut(): void {
    const nowMs = clock.now()
    waiting = waiting.filter((item) => item.expiresAtMs > nowMs)
    const left: Item[] = []
    /** Keys of which an earlier message stays: the later ones must not pass it. */
    const held = new Set<string>()
    for (const item of waiting) {
      const key = keyOf(item)
      const isFree = !key || (!busyKeys.has(key) && !held.has(key))
      const consumer = isFree && item.notBeforeMs <= nowMs ? nextConsumer() : undefined
      if (consumer) lease(item, consumer)
      else {
        left.push(item)
        if (key) held.add(key)
      }
    }
    waiting = left
  }

  /** The next in turn that has room. */
  function nextConsumer(): Consumer | undefined {
    const index = consumers.findIndex((consumer) => consumer.room() > 0)
    const [consumer] = index < 0 ? [] : consumers.splice(index, 1)
    if (consumer) consumers.push(consumer)
    return consumer
  }

  function lease(item: Item, consumer: Consumer): void {
    item.attempts++
    const ackId = `${config.name}:${nextAckId++}`
    const key = keyOf(item)
    if (key) busyKeys.add(key)
    const seconds = consumer.ackDeadlineSeconds || config.ackDeadlineSeconds || DEADLINE_SECONDS
    leases.set(ackId, { item, consumer, cancel: expireAfter(ackId, seconds) })
    consumer.send({ ackId, message: item.message, deliveryAttempt: item.attempts })
  }

  function expireAfter(ackId: string, seconds: number): () => void {
    const cancelled = new AbortController()
    const expire = async (): Promise<void> => {
      await clock.sleep(seconds * 1000, cancelled.signal)
      if (!cancelled.signal.aborted) refuse(ackId)
    }
    void expire()
    return () => cancelled.abort()
  }

  function settle(ackId: string): Lease | undefined {
    const found = leases.get(ackId)
    if (!found) return undefined
    leases.delete(ackId)
    found.cancel()
    busyKeys.delete(keyOf(found.item))
    found.consumer.settled?.()
    return found
  }

  function refuse(ackId: string): void {
    const found = settle(ackId)
    if (!found) return
    const pauseMs = backoffMs(config, found.item.attempts)
    found.item.notBeforeMs = clock.now() + pauseMs
    // To the front: it is older than what waits, and its key must not be overtaken.
    waiting.unshift(found.item)
    if (pauseMs > 0) void clock.sleep(pauseMs, closing.signal).then(pump)
    pump()
  }

  return {
    get config() {
      return config
    },
    setConfig(next) {
      config = next
      pump()
    },
    add(message) {
      const keepMs = durationMs(config.messageRetentionDuration, RETENTION_MS)
      const expiresAtMs = clock.now() + (keepMs || RETENTION_MS)
      waiting.push({ message, attempts: 0, notBeforeMs: 0, expiresAtMs })
      pump()
    },
    ack(ackId) {
      settle(ackId)
      pump()
    },
    modifyDeadline(ackId, seconds) {
      if (seconds === 0) {
        refuse(ackId)
        return
      }
      const found = leases.get(ackId)
      if (!found) return
      found.cancel()
      found.cancel = expireAfter(ackId, seconds)
    },
    attach(consumer) {
      consumers.push(consumer)
      pump()
      return () => {
        const index = consumers.indexOf(consumer)
        if (index >= 0) consumers.splice(index, 1)
      }
    },
    close() {
      closing.abort()
      consumers.length = 0
      waiting = []
      for (const { cancel } of leases.values()) cancel()
      leases.clear()
    },
  }
}

/**
 * How long a refused message waits: as the retry policy says. Without one a pull subscription gets it
 * back at once and a push endpoint after Pub/Sub's own growing pause.
 */
function backoffMs({ retryPolicy, pushConfig }: WireSubscription, attempts: number): number {
  if (!retryPolicy && !pushConfig?.pushEndpoint) return 0
  const minimum = durationMs(retryPolicy?.minimumBackoff, retryPolicy ? 10_000 : 100)
  const maximum = durationMs(retryPolicy?.maximumBackoff, retryPolicy ? 600_000 : 60_000)
  return Math.min(maximum, minimum * 2 ** Math.min(attempts - 1, 30))
}
