import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { createTap } from './tap.ts'

const bytes = (content: string): Buffer => Buffer.from(content)

test('a client gets what is printed while it is there', async () => {
  const tap = createTap({ keepsEarly: false })
  void tap.append('stdout', bytes('before '))
  const first = tap.attach()
  void tap.append('stdout', bytes('one '))
  void tap.append('stderr', bytes('wrong'))
  const second = tap.attach()
  void tap.append('stdout', bytes('two'))
  tap.end()
  expect(await Promise.all([text(first.stdout), text(first.stderr)])).toEqual(['one two', 'wrong'])
  expect(await text(second.stdout)).toBe('two')
  expect(first.wasCutOff()).toBe(false)
})

test('who has left holds nobody up', () => {
  const tap = createTap({ keepsEarly: false })
  tap.attach().leave()
  for (let count = 0; count < 10; count++) {
    expect(tap.append('stdout', Buffer.alloc(100_000))).toBeUndefined()
  }
})

test('the first client of a container that is there for it gets the beginning, too', async () => {
  const tap = createTap({ keepsEarly: true })
  void tap.append('stdout', bytes('hello '))
  const [first, second] = [tap.attach(), tap.attach()]
  void tap.append('stdout', bytes('there'))
  tap.end()
  expect(await text(first.stdout)).toBe('hello there')
  expect(await text(second.stdout)).toBe('there')
})

test('a client that is behind holds the output up until it has read', async () => {
  const tap = createTap({ keepsEarly: false })
  const client = tap.attach()
  const wait = tap.append('stdout', Buffer.alloc(200_000))
  expect(wait).toBeInstanceOf(Promise)
  let hasGoneOn = false
  void wait?.then(() => (hasGoneOn = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(hasGoneOn).toBe(false)
  client.stdout.resume()
  await wait
  expect(client.wasCutOff()).toBe(false)
})

test('but not for ever: it is cut off, and the others go on', async () => {
  const tap = createTap({ keepsEarly: false, stalledMs: 30 })
  const stalled = tap.attach()
  const reading = tap.attach()
  reading.stdout.resume()
  await tap.append('stdout', Buffer.alloc(200_000))
  expect([stalled.wasCutOff(), stalled.stdout.destroyed]).toEqual([true, true])
  expect([reading.wasCutOff(), reading.stdout.destroyed]).toEqual([false, false])
})
