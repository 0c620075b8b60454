// Between our Message and what Pub/Sub carries. The ordering key is also copied into an attribute,
// because the emulator leaves it out of push deliveries.

import type { Message } from '#shared/ports/bus.ts'

const ORDERING_KEY_ATTRIBUTE = 'wherry-ordering-key'

/** What a publish request holds. */
export interface PubsubMessage {
  data: Buffer
  attributes: Record<string, string>
  orderingKey?: string
}

/** A message as it is published. */
export function toPubsub({ attributes, data, orderingKey }: Message): PubsubMessage {
  if (orderingKey === undefined) return { data: Buffer.from(data), attributes: { ...attributes } }
  return {
    data: Buffer.from(data),
    attributes: { ...attributes, [ORDERING_KEY_ATTRIBUTE]: orderingKey },
    orderingKey,
  }
}

/** A message as it was published. `orderingKey` may be missing or empty when a push dropped it. */
export function fromPubsub(received: {
  data: Uint8Array
  attributes: Record<string, string>
  orderingKey?: string | undefined
}): Message {
  const { [ORDERING_KEY_ATTRIBUTE]: copy, ...attributes } = received.attributes
  const orderingKey = received.orderingKey || copy
  return {
    attributes,
    data: Buffer.from(received.data).toString('utf8'),
    ...(orderingKey ? { orderingKey } : {}),
  }
}

/** True when every attribute of the filter is there with this value. */
export function passesFilter(message: Message, filter: Record<string, string>): boolean {
  return Object.entries(filter).every(([name, value]) => message.attributes[name] === value)
}

/** The filter in Pub/Sub's language: `attributes.cluster = "dev" AND attributes.node = "a"`. */
export function toPubsubFilter(filter: Record<string, string>): string {
  return Object.entries(filter)
    .map(([name, value]) => `attributes.${quoteName(name)} = ${quote(value)}`)
    .join(' AND ')
}

function quoteName(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : quote(name)
}

function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
