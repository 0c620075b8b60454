// One streaming pull that goes on whatever happens: reopened after an error, the messages of one
// ordering key handled one after the other, a refused message held back a little so that a handler
// that cannot work at the moment is not called thousands of times a second.

import { withDeadline } from './deadline.ts'
import { fromPubsub, passesFilter } from './pubsub-message.ts'
import type { Message as Received, PubSub, Subscription } from '@google-cloud/pubsub'
import type { Message } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface SubscriberOptions {
  pubsub: PubSub
  /** The subscription's id. */
  name: string
  handle: (message: Message) => Promise<void>
  /** Applied here too: the emulator ignores the subscription's own. */
  filter: Record<string, string>
  /** Called before the subscription is opened again, e.g. because the emulator forgot it. */
  prepare: () => Promise<void>
  clock: Clock
  log: Log
}

const NACK_PAUSE_MS = 100
const NACK_PAUSE_MAX_MS = 5000
const REOPEN_MS = 500
const REOPEN_MAX_MS = 10_000
const CLOSE_MS = 5000

/** Starts to pull. Answers the function that ends it, after the handlers at work have finished. */
export function startSubscriber(options: SubscriberOptions): () => Promise<void> {
  const { name, clock, log } = options
  const ending = new AbortController()
  const receive = createReceiver(options, ending.signal)
  let subscription = open()
  let failures = 0

  function open(): Subscription {
    const opened = options.pubsub.subscription(name, {
      batching: { maxMilliseconds: 10 },
      streamingOptions: { maxStreams: 1 },
      closeOptions: { behavior: 'WAIT' },
    })
    opened.on('message', (received) => {
      failures = 0
      receive.take(received)
    })
    opened.on('error', (error) => void reopen(error))
    return opened
  }

  /** The client retries what is transient by itself; what gets here has closed the subscription. */
  async function reopen(cause: Error): Promise<void> {
    const old = subscription
    old.removeAllListeners('error')
    old.on('error', () => undefined)
    log.warn('subscription broke, opening it again', { subscription: name, error: cause })
    await close(old)
    while (!ending.signal.aborted) {
      await clock.sleep(Math.min(REOPEN_MS * 2 ** failures++, REOPEN_MAX_MS), ending.signal)
      if (ending.signal.aborted) return
      try {
        await options.prepare()
        subscription = open()
        return
      } catch (failure) {
        log.warn('subscription cannot be opened', { subscription: name, error: failure })
      }
    }
  }

  /** Bounded, and without an error: what was not acknowledged comes again. */
  async function close(which: Subscription): Promise<void> {
    await withDeadline(clock, CLOSE_MS, `close ${name}`, which.close()).catch((error: unknown) => {
      log.warn('subscription did not close', { subscription: name, error })
    })
  }

  return async () => {
    if (ending.signal.aborted) return receive.idle()
    ending.abort()
    const closed = close(subscription)
    await receive.idle()
    await closed
  }
}

interface Receiver {
  take(received: Received): void
  /** Resolves when no handler is at work. */
  idle(): Promise<void>
}

function createReceiver(
  { name, handle, filter, clock, log }: SubscriberOptions,
  ending: AbortSignal,
): Receiver {
  const running = new Set<Promise<void>>()
  /** The last message of each ordering key that is not finished. */
  const lastOfKey = new Map<string, Promise<void>>()
  /** How often a message was refused, by its id. */
  const refusals = new Map<string, number>()

  async function work(received: Received): Promise<void> {
    const message = fromPubsub(received)
    if (!passesFilter(message, filter)) {
      received.ack()
      return
    }
    try {
      await handle(message)
      refusals.delete(received.id)
      received.ack()
    } catch (error) {
      const count = (refusals.get(received.id) ?? 0) + 1
      // Ids of messages that somebody else finished would stay for ever.
      if (refusals.size > 1000) refusals.clear()
      refusals.set(received.id, count)
      log.warn('message refused', { subscription: name, attempt: count, error })
      const pause = Math.min(NACK_PAUSE_MS * 2 ** (count - 1), NACK_PAUSE_MAX_MS)
      await clock.sleep(pause, ending)
      received.nack()
    }
  }

  async function inTurn(before: Promise<void> | undefined, received: Received): Promise<void> {
    await before
    if (ending.aborted) received.nack()
    else await work(received)
  }

  return {
    take(received) {
      const key = received.orderingKey
      const before = key ? lastOfKey.get(key) : undefined
      const task = inTurn(before, received)
      running.add(task)
      if (key) lastOfKey.set(key, task)
      void task.finally(() => {
        running.delete(task)
        if (key && lastOfKey.get(key) === task) lastOfKey.delete(key)
      })
    },
    async idle() {
      while (running.size > 0) await Promise.all(running)
    },
  }
}
