// What every Bus driver must do. `open` answers a bus on empty topics; a driver whose server lives
// elsewhere takes a project of its own for each.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Bus, Message } from '#shared/ports/bus.ts'

export interface BusUnderTest {
  bus: Bus
  close: () => Promise<void>
}

const { changes, nodes, signals } = TOPICS

function message(id: string, attributes: Record<string, string> = {}): Message {
  return { attributes: { id, ...attributes }, data: '{}' }
}

/** Waits until the condition holds; fails after 20 s with what was to happen. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`)
    await sleep(5)
  }
}

/** A handler that keeps what it was given. */
function recorder() {
  const messages: Message[] = []
  return {
    messages,
    ids: () => messages.map((received) => received.attributes['id'] ?? ''),
    handle: async (received: Message): Promise<void> => void messages.push(received),
  }
}

/** Runs the Bus contract on a driver. */
export function busContract(name: string, open: () => Promise<BusUnderTest>): void {
  describe(`${name} keeps the Bus contract`, () => {
    const closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })
    const openBus = async (): Promise<Bus> => {
      const { bus, close } = await open()
      closing.push(close)
      return bus
    }

    deliveryCases(openBus)
    orderCases(openBus)
    subscriptionCases(openBus)
  })
}

function deliveryCases(openBus: () => Promise<Bus>): void {
  test('a message arrives as it was sent', async () => {
    const bus = await openBus()
    const { messages, handle } = recorder()
    await bus.subscribe(changes, 'sub-a', handle)
    const sent: Message = {
      attributes: { cluster: 'dev', text: 'žluťoučký 🛶' },
      data: JSON.stringify({ text: 'x'.repeat(100_000) }),
      orderingKey: 'dev',
    }
    await bus.publish(changes, sent)
    await eventually('it arrives', () => messages.length > 0)
    expect(messages[0]).toEqual(sent)
  })

  test('a message without ordering key has none', async () => {
    const bus = await openBus()
    const { messages, handle } = recorder()
    await bus.subscribe(changes, 'sub-a', handle)
    await bus.publish(changes, message('1'))
    await eventually('it arrives', () => messages.length > 0)
    expect(messages).toEqual([message('1')])
  })

  test('a refused message comes again until it is accepted', async () => {
    const bus = await openBus()
    let calls = 0
    await bus.subscribe(changes, 'sub-a', async () => {
      calls++
      if (calls < 3) throw new Error('not yet')
    })
    await bus.publish(changes, { ...message('1'), orderingKey: 'dev' })
    await eventually('the third attempt', () => calls === 3)
    const after = recorder()
    await bus.subscribe(changes, 'sub-b', after.handle)
    await bus.publish(changes, message('2'))
    await eventually('something newer', () => after.messages.length > 0)
    expect(calls).toBeLessThanOrEqual(4)
  })

  test('published counts what was accepted', async () => {
    const bus = await openBus()
    expect(bus.published()).toBe(0)
    await bus.publish(changes, message('1'))
    await Promise.all([bus.publish(nodes, message('2')), bus.publish(signals, message('3'))])
    expect(bus.published()).toBe(3)
  })
}

function orderCases(openBus: () => Promise<Bus>): void {
  test('messages of one ordering key arrive in order, one at a time', async () => {
    const bus = await openBus()
    const seen: string[] = []
    let running = 0
    let mostAtOnce = 0
    await bus.subscribe(changes, 'sub-a', async ({ attributes }) => {
      running++
      mostAtOnce = Math.max(mostAtOnce, running)
      await sleep(2)
      seen.push(attributes['id'] ?? '')
      running--
    })
    const ids = Array.from({ length: 20 }, (_, index) => String(index))
    for (const id of ids) await bus.publish(changes, { ...message(id), orderingKey: 'dev' })
    await eventually('all arrive', () => new Set(seen).size === ids.length)
    expect([...new Set(seen)]).toEqual(ids)
    expect(mostAtOnce).toBe(1)
  })

  test('a slow ordering key does not hold up another', async () => {
    const bus = await openBus()
    const { ids, handle } = recorder()
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    await bus.subscribe(changes, 'sub-a', async (received) => {
      if (received.orderingKey === 'slow') await held
      await handle(received)
    })
    await bus.publish(changes, { ...message('1'), orderingKey: 'slow' })
    await bus.publish(changes, { ...message('2'), orderingKey: 'fast' })
    await eventually('the other key', () => ids().includes('2'))
    expect(ids()).toEqual(['2'])
    release()
    await eventually('the slow key', () => ids().includes('1'))
  })
}

function subscriptionCases(openBus: () => Promise<Bus>): void {
  test('each subscription gets its own copy, other topics none', async () => {
    const bus = await openBus()
    const [a, b, other] = [recorder(), recorder(), recorder()]
    await bus.subscribe(changes, 'sub-a', a.handle)
    await bus.subscribe(changes, 'sub-b', b.handle)
    await bus.subscribe(nodes, 'sub-c', other.handle)
    await bus.publish(changes, message('1'))
    await bus.publish(nodes, message('2'))
    await eventually('both, and the other topic', () =>
      [a, b, other].every((one) => one.messages.length > 0),
    )
    expect([a.ids(), b.ids(), other.ids()]).toEqual([['1'], ['1'], ['2']])
  })

  test('a filter lets through what has all its attributes', async () => {
    const bus = await openBus()
    const filtered = recorder()
    const all = recorder()
    await bus.subscribe(nodes, 'sub-a', filtered.handle, { cluster: 'dev', node: 'n"1\\' })
    await bus.subscribe(nodes, 'sub-b', all.handle)
    await bus.publish(nodes, message('1', { cluster: 'dev' }))
    await bus.publish(nodes, message('2', { cluster: 'prod', node: 'n"1\\' }))
    await bus.publish(nodes, message('3', { cluster: 'dev', node: 'n"1\\', more: 'yes' }))
    await bus.publish(nodes, message('4', { cluster: 'dev', node: 'n2' }))
    await bus.publish(nodes, message('5', { cluster: 'dev', node: 'n"1\\' }))
    await eventually('all', () => all.messages.length >= 5)
    await eventually('the filtered', () => filtered.messages.length >= 2)
    expect(filtered.ids().sort()).toEqual(['3', '5'])
  })

  test('what is published while nobody listens waits for the next subscriber', async () => {
    const bus = await openBus()
    const [first, second] = [recorder(), recorder()]
    const end = await bus.subscribe(changes, 'sub-a', first.handle)
    await bus.publish(changes, message('1'))
    await eventually('the first', () => first.messages.length > 0)
    await end()
    await bus.publish(changes, message('2'))
    await bus.subscribe(changes, 'sub-a', second.handle)
    await eventually('the second', () => second.ids().includes('2'))
    expect(first.ids()).toEqual(['1'])
  })

  test('ending waits for the handler that is at work, and may be repeated', async () => {
    const bus = await openBus()
    let isStarted = false
    let isFinished = false
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const end = await bus.subscribe(changes, 'sub-a', async () => {
      isStarted = true
      await held
      isFinished = true
    })
    await bus.publish(changes, message('1'))
    await eventually('the handler starts', () => isStarted)
    const ended = end()
    release()
    await ended
    expect(isFinished).toBe(true)
    await end()
  })

  test('two subscribers share the messages of one subscription', async () => {
    const bus = await openBus()
    const { ids, handle } = recorder()
    await bus.subscribe(changes, 'sub-a', handle)
    await bus.subscribe(changes, 'sub-a', handle)
    const sent = Array.from({ length: 10 }, (_, index) => String(index))
    await Promise.all(sent.map((id) => bus.publish(changes, message(id))))
    await eventually('all', () => new Set(ids()).size === sent.length)
    expect(ids().sort()).toEqual(sent)
  })
}
