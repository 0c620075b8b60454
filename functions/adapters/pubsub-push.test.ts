import { expect, test } from 'vitest'
import { decodePush } from './pubsub-push.ts'
import { toPubsub } from './pubsub-message.ts'

const sent = { attributes: { cluster: 'dev' }, data: '{"text":"ž"}', orderingKey: 'dev' }
const encoded = toPubsub(sent)
const wire = { data: encoded.data.toString('base64'), attributes: encoded.attributes }
const push = { subscription: 'projects/p/subscriptions/s', message: { ...wire, messageId: '1' } }

test('every form in which a push reaches a function', () => {
  const forms = {
    cloudEvent: { type: 'google.cloud.pubsub.topic.v1.messagePublished', data: { message: wire } },
    cloudEventThatWasNotConverted: push,
    body: push,
    text: JSON.stringify(push),
    bytes: Buffer.from(JSON.stringify(push)),
    production: { ...push, message: { ...push.message, orderingKey: 'dev' } },
  }
  for (const [name, form] of Object.entries(forms)) {
    expect(decodePush(form), name).toEqual(sent)
  }
})

test('attributes without data are a message too', () => {
  expect(decodePush({ message: { attributes: { cluster: 'dev' } } })).toEqual({
    attributes: { cluster: 'dev' },
    data: '{}',
  })
})

test('what is no delivery is none', () => {
  for (const odd of [undefined, null, 7, '', 'x', '[]', [], {}, { message: 'text' }]) {
    expect(decodePush(odd)).toBeUndefined()
  }
})
