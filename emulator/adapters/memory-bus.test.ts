import { expect, test } from 'vitest'
import { TOPICS } from '#shared/ports/bus.ts'
import { busContract } from '#test/contract/bus.ts'
import { createManualClock } from './manual-clock.ts'
import { createMemoryBus } from './memory-bus.ts'

busContract('the memory bus', async () => {
  const bus = createMemoryBus()
  return { bus, close: async () => bus.close() }
})

const wake = (id: string) => ({ attributes: { id }, data: '{}', orderingKey: 'dev' })

async function manual() {
  const bus = createMemoryBus({ isManual: true })
  const seen: string[] = []
  const refuse = new Set<string>()
  await bus.subscribe(TOPICS.changes, 'reconcile', async ({ attributes: { id = '' } }) => {
    if (refuse.delete(id)) throw new Error('refused')
    seen.push(id)
  })
  for (const id of ['a', 'b', 'c']) await bus.publish(TOPICS.changes, wake(id))
  return { bus, seen, refuse }
}

test('by hand: nothing moves until its owner picks it, in any order', async () => {
  const { bus, seen } = await manual()
  expect(bus.pending().map((delivery) => delivery.message.attributes['id'])).toEqual([
    'a',
    'b',
    'c',
  ])
  expect(seen).toEqual([])
  expect(await bus.deliver(bus.pending()[2])).toBe(true)
  expect(await bus.deliver()).toBe(true)
  expect(seen).toEqual(['c', 'a'])
})

test('by hand: lost, repeated and refused messages', async () => {
  const { bus, seen, refuse } = await manual()
  const [a, b] = bus.pending()
  if (!a || !b) throw new Error('nothing is pending')
  bus.drop(a)
  bus.repeat(b)
  refuse.add('b')
  await bus.deliver(b)
  expect(seen).toEqual([])
  expect(await bus.deliver(a)).toBe(false)
  while (await bus.deliver());
  expect(seen).toEqual(['c', 'b', 'b'])
  expect(bus.pending()).toEqual([])
})

test('by hand: messages for a subscription without subscribers stay', async () => {
  const bus = createMemoryBus({ isManual: true })
  const end = await bus.subscribe(TOPICS.changes, 'reconcile', async () => undefined)
  await end()
  await bus.publish(TOPICS.changes, wake('a'))
  expect(await bus.deliver()).toBe(false)
  expect(bus.pending()).toHaveLength(1)
})

test('with a clock a refused message pauses before it comes again', async () => {
  const clock = createManualClock()
  const bus = createMemoryBus({ clock })
  const at: number[] = []
  const start = clock.now()
  await bus.subscribe(TOPICS.changes, 'reconcile', async () => {
    at.push(clock.now() - start)
    if (at.length < 3) throw new Error('not yet')
  })
  await bus.publish(TOPICS.changes, wake('a'))
  for (let step = 0; step < 10; step++) await clock.advance(50)
  expect(at).toHaveLength(3)
  expect(at[0]).toBe(0)
  expect(at[1]).toBeGreaterThanOrEqual(100)
})
