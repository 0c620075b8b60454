// Push delivery: POSTs each message of a subscription to its endpoint, wrapped as Pub/Sub wraps it.

import type { Consumer, Queue } from './pubsub-queue.ts'
import type { WireReceived } from './pubsub-wire.ts'
import type { Log } from '#shared/ports/log.ts'

const AT_ONCE = 32
/** What Pub/Sub takes for an acknowledgement. */
const ACCEPTED = new Set([102, 200, 201, 202, 204])

/** A consumer that pushes to `endpoint` until `signal` aborts. */
export function createPushConsumer(
  queue: Queue,
  endpoint: string,
  signal: AbortSignal,
  log: Log,
): Consumer {
  let running = 0

  async function push(received: WireReceived): Promise<void> {
    const isAccepted = await post(received).catch((error: unknown) => {
      if (!signal.aborted) log.warn('push failed', { subscription: queue.config.name, error })
      return false
    })
    if (isAccepted) queue.ack(received.ackId)
    else queue.modifyDeadline(received.ackId, 0)
  }

  async function post(received: WireReceived): Promise<boolean> {
    const deadlineMs = (queue.config.ackDeadlineSeconds || 10) * 1000
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'APIs-Google' },
      body: pushBody(queue.config.name, received),
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]),
    })
    await response.arrayBuffer()
    return ACCEPTED.has(response.status)
  }

  return {
    room: () => AT_ONCE - running,
    send(received) {
      running++
      void push(received)
    },
    settled: () => running--,
  }
}

function pushBody(subscription: string, { message }: WireReceived): string {
  const publishedMs =
    Number(message.publishTime?.seconds ?? 0) * 1000 + (message.publishTime?.nanos ?? 0) / 1e6
  const publishTime = new Date(publishedMs).toISOString()
  return JSON.stringify({
    subscription,
    message: {
      data: Buffer.from(message.data).toString('base64'),
      attributes: message.attributes,
      messageId: message.messageId,
      message_id: message.messageId,
      publishTime,
      publish_time: publishTime,
      ...(message.orderingKey ? { orderingKey: message.orderingKey } : {}),
    },
  })
}
