// Reads a Pub/Sub push delivery in each of the forms in which it reaches a function.

import { fromPubsub } from './pubsub-message.ts'
import type { Message } from '#shared/ports/bus.ts'

type Fields = Record<string, unknown>

/**
 * The message in a delivery: a CloudEvent of functions-framework (`event.data.message`), a CloudEvent
 * whose conversion was skipped or a push body (`message`), the latter also as bytes or text.
 * Undefined when there is none: it can never be handled, so it is to be acknowledged.
 */
export function decodePush(delivery: unknown): Message | undefined {
  const body = asFields(delivery)
  if (!body) return undefined
  const message =
    asFields(asFields(body['data'])?.['message']) ??
    asFields(body['message']) ??
    // The functions-framework keeps the whole push body as `data` of an unknown source.
    asFields(asFields(asFields(body['data'])?.['data'])?.['message'])
  if (!message) return undefined
  const { data, orderingKey } = message
  const attributes: Record<string, string> = {}
  for (const [name, value] of Object.entries(asFields(message['attributes']) ?? {})) {
    if (typeof value === 'string') attributes[name] = value
  }
  return fromPubsub({
    data: typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.from('{}'),
    attributes,
    orderingKey: typeof orderingKey === 'string' ? orderingKey : undefined,
  })
}

function asFields(value: unknown): Fields | undefined {
  if (typeof value === 'string' || value instanceof Uint8Array) {
    try {
      return asFields(JSON.parse(Buffer.from(value).toString('utf8')))
    } catch {
      return undefined
    }
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined
}
