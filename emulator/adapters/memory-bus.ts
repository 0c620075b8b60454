// A Bus in memory. By default it delivers by itself, soon and in order, as Pub/Sub does on a good
// day. With `isManual` it delivers only what its owner picks: a simulation repeats, reorders and
// loses messages that way, in an order that depends on nothing but its seed.
//
// As in Pub/Sub a subscription outlives its subscribers: what was published meanwhile waits for the
// next one. One that never had a subscriber gets nothing.

import type { Clock } from '#shared/ports/clock.ts'
import type { Bus, Message, Topic } from '#shared/ports/bus.ts'

/** One message on its way to one subscription. */
export interface Delivery {
  readonly id: number
  readonly topic: Topic
  readonly subscription: string
  readonly message: Message
  /** How often it was handed to a subscriber and refused. */
  readonly attempts: number
}

export interface MemoryBus extends Bus {
  /** What waits for delivery, oldest first. */
  pending(): readonly Delivery[]
  /**
   * Hands one waiting delivery (default: the oldest that has a subscriber) to a subscriber and waits
   * for its verdict; refused, it waits again, behind the others. False: there was none to deliver.
   */
  deliver(delivery?: Delivery): Promise<boolean>
  /** Loses a waiting delivery. */
  drop(delivery: Delivery): void
  /** Lets a message arrive once more: a second delivery, behind the others. */
  repeat(delivery: Delivery): void
  /** Ends all subscribers and forgets what waits. */
  close(): void
}

export interface MemoryBusOptions {
  /** For the pause before a refused message comes again; without it, it comes at once. */
  clock?: Clock
  isManual?: boolean
}

const RETRY_MS = 100

interface Subscriber {
  handle: (message: Message) => Promise<void>
  /** Handlers that are at work; ending waits for them. */
  running: Set<Promise<void>>
}

interface Subscription {
  name: string
  topic: Topic
  filter: Record<string, string>
  subscribers: Subscriber[]
  /** Ordering keys with a message at a subscriber: the next one of the key waits. */
  busyKeys: Set<string>
}

/** An empty bus. */
export function createMemoryBus({ clock, isManual = false }: MemoryBusOptions = {}): MemoryBus {
  const subscriptions = new Map<string, Subscription>()
  let waiting: Delivery[] = []
  let published = 0
  let nextId = 1
  let isPumping = false

  function enqueue(subscription: Subscription, message: Message, attempts: number): void {
    const { name, topic } = subscription
    waiting.push({ id: nextId++, topic, subscription: name, message, attempts })
  }

  function isDeliverable(delivery: Delivery): boolean {
    const subscription = subscriptions.get(delivery.subscription)
    if (!subscription || subscription.subscribers.length === 0) return false
    const key = delivery.message.orderingKey
    return isManual || key === undefined || !subscription.busyKeys.has(key)
  }

  function remove(delivery: Delivery): boolean {
    const index = waiting.findIndex((other) => other.id === delivery.id)
    if (index < 0) return false
    waiting.splice(index, 1)
    return true
  }

  async function hand(delivery: Delivery): Promise<void> {
    const subscription = subscriptions.get(delivery.subscription)
    const subscriber = subscription?.subscribers.shift()
    if (!subscription || !subscriber) return
    // The next message goes to the next subscriber.
    subscription.subscribers.push(subscriber)
    const { message } = delivery
    const key = message.orderingKey
    if (key !== undefined) subscription.busyKeys.add(key)
    const verdict = subscriber.handle(copyOf(message)).then(
      () => true,
      () => false,
    )
    const running = verdict.then(() => undefined)
    subscriber.running.add(running)
    const isAccepted = await verdict
    subscriber.running.delete(running)
    if (!isAccepted) await refused(subscription, delivery)
    if (key !== undefined) subscription.busyKeys.delete(key)
  }

  /** It comes again before later messages of its key, as Pub/Sub keeps the order of a key. */
  async function refused(subscription: Subscription, delivery: Delivery): Promise<void> {
    if (!isManual && clock) await clock.sleep(RETRY_MS)
    const again = { ...delivery, attempts: delivery.attempts + 1 }
    const key = delivery.message.orderingKey
    const behind = waiting.findIndex(
      (other) => other.subscription === subscription.name && other.message.orderingKey === key,
    )
    if (isManual || key === undefined || behind < 0) waiting.push(again)
    else waiting.splice(behind, 0, again)
  }

  /** Delivers by itself: in a later turn of the event loop, so that publish never runs a handler. */
  function pump(): void {
    if (isManual || isPumping) return
    isPumping = true
    setImmediate(() => {
      isPumping = false
      for (const delivery of waiting.filter(isDeliverable)) {
        if (isDeliverable(delivery) && remove(delivery)) void hand(delivery).then(pump)
      }
    })
  }

  return {
    async publish(topic, message) {
      published++
      for (const subscription of subscriptions.values()) {
        if (subscription.topic !== topic) continue
        if (matches(message.attributes, subscription.filter)) {
          enqueue(subscription, copyOf(message), 0)
        }
      }
      pump()
    },

    async subscribe(topic, name, handle, filter = {}) {
      const subscription = subscriptions.get(name) ?? {
        name,
        topic,
        filter,
        subscribers: [],
        busyKeys: new Set(),
      }
      subscriptions.set(name, subscription)
      const subscriber: Subscriber = { handle, running: new Set() }
      subscription.subscribers.push(subscriber)
      pump()
      return async () => {
        const index = subscription.subscribers.indexOf(subscriber)
        if (index >= 0) subscription.subscribers.splice(index, 1)
        await Promise.all(subscriber.running)
      }
    },

    published: () => published,
    pending: () => waiting.slice(),

    async deliver(chosen) {
      const delivery = chosen ?? waiting.find(isDeliverable)
      if (!delivery || !isDeliverable(delivery) || !remove(delivery)) return false
      await hand(delivery)
      return true
    },

    drop: (delivery) => void remove(delivery),

    repeat(delivery) {
      const subscription = subscriptions.get(delivery.subscription)
      if (subscription) enqueue(subscription, delivery.message, delivery.attempts)
      pump()
    },

    close() {
      subscriptions.clear()
      waiting = []
    },
  }
}

/** True when every attribute of the filter is there with this value. */
function matches(attributes: Record<string, string>, filter: Record<string, string>): boolean {
  return Object.entries(filter).every(([name, value]) => attributes[name] === value)
}

/** A receiver that changes its message must not change anybody else's. */
function copyOf(message: Message): Message {
  return { ...message, attributes: { ...message.attributes } }
}
