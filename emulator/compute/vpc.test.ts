// The registry of virtual addresses, as agents use it over HTTP.

import { beforeEach, expect, test } from 'vitest'
import { createVpc, type Vpc } from './vpc.ts'

let vpc: Vpc
beforeEach(() => {
  vpc = createVpc()
})

const send = (method: 'PUT' | 'DELETE', body: unknown) =>
  vpc.app.request('/vpc/routes', { method, body: JSON.stringify(body) })
const ask = async (address: string) => {
  const response = await vpc.app.request(`/vpc/route?address=${encodeURIComponent(address)}`)
  return { status: response.status, body: await response.json() }
}

test('a route is found by its address until it is removed', async () => {
  const route = { owner: 'vm-1', address: '10.4.1.3:8080/tcp', to: '127.0.0.1:34567' }
  expect((await send('PUT', route)).status).toBe(204)
  expect(await ask(route.address)).toEqual({ status: 200, body: { to: '127.0.0.1:34567' } })
  expect(vpc.lookup(route.address)).toBe('127.0.0.1:34567')
  expect((await send('DELETE', route)).status).toBe(204)
  expect(await ask(route.address)).toEqual({ status: 404, body: { error: 'no route to host' } })
})

test('a packet for a load balancer at one VM is an address too', async () => {
  const route = { owner: 'vm-1', address: '10.128.0.5>127.0.1.1:80/tcp', to: '127.0.0.1:1' }
  expect((await send('PUT', route)).status).toBe(204)
  expect((await ask(route.address)).body).toEqual({ to: '127.0.0.1:1' })
})

test('a VM that is gone takes its routes with it, and only its own', async () => {
  await send('PUT', { owner: 'vm-1', address: '10.4.1.3:80/tcp', to: '127.0.0.1:1' })
  await send('PUT', { owner: 'vm-2', address: '10.4.2.3:80/tcp', to: '127.0.0.1:2' })
  vpc.dropOwner('vm-1')
  expect(vpc.routes()).toEqual([{ owner: 'vm-2', address: '10.4.2.3:80/tcp', to: '127.0.0.1:2' }])
})

test('an address that another VM took over is not removed by the one that had it', async () => {
  await send('PUT', { owner: 'vm-1', address: '10.4.1.3:80/tcp', to: '127.0.0.1:1' })
  await send('PUT', { owner: 'vm-2', address: '10.4.1.3:80/tcp', to: '127.0.0.1:2' })
  await send('DELETE', { owner: 'vm-1', address: '10.4.1.3:80/tcp' })
  expect(vpc.lookup('10.4.1.3:80/tcp')).toBe('127.0.0.1:2')
})

test.each([
  'not json at all',
  { owner: 'vm-1', address: '10.4.1.3:80/tcp' },
  { owner: '', address: '10.4.1.3:80/tcp', to: '127.0.0.1:1' },
  { owner: 'vm-1', address: 'web:80', to: '127.0.0.1:1' },
  { owner: 'vm-1', address: '10.4.1.3:80/tcp', to: 'nowhere' },
])('refuses %j', async (body) => {
  expect((await send('PUT', body)).status).toBe(400)
  expect(vpc.routes()).toEqual([])
})
