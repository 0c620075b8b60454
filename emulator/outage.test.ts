import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createOutage } from './outage.ts'

test('the API answers nobody while the control plane is away', async () => {
  const outage = createOutage()
  const app = outage.app({ fetch: () => new Response('served') })
  const ask = () => app.fetch(new Request('http://api/version'))
  expect(await (await ask()).text()).toBe('served')
  outage.begin()
  const refused = await ask()
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ kind: 'Status', reason: 'ServiceUnavailable' })
  expect(outage.end()).toBe('the control plane is back')
  expect(outage.end()).toBeUndefined()
  expect(await (await ask()).text()).toBe('served')
})

test('its functions take no message, which comes again', async () => {
  const outage = createOutage()
  const taken: string[] = []
  const run = outage.fn(async (message: string) => void taken.push(message))
  outage.begin()
  await expect(run('lost?')).rejects.toThrow('away on purpose')
  outage.end()
  await run('again')
  expect(taken).toEqual(['again'])
})

test('a message waits for its return, but not for ever', async () => {
  const outage = createOutage()
  const taken: string[] = []
  const take = async (message: string): Promise<void> => void taken.push(message)
  outage.begin()
  const waits = outage.fn(take, 60_000)('kept')
  await expect(outage.fn(take, 1)('refused')).rejects.toThrow('away on purpose')
  outage.end()
  await waits
  expect(taken).toEqual(['kept'])
})

test('a stream is refused as well', async () => {
  const outage = createOutage()
  const seen: unknown[] = []
  const listener = outage.upgrade((request) => seen.push(request))
  const request = {} as Parameters<typeof listener>[0]
  const socket = new PassThrough()
  outage.begin()
  listener(request, socket, Buffer.alloc(0))
  expect(socket.read()?.toString()).toMatch(/^HTTP\/1.1 503 /)
  outage.end()
  listener(request, new PassThrough(), Buffer.alloc(0))
  expect(seen).toEqual([request])
})
