import { connect, createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { openPortProxy } from './port-proxy.ts'
import type { PortProxy } from './port-proxy.ts'
import type { Backend } from './service-ports.ts'

const opened: { close(): void }[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

/** A server that answers each connection's first bytes with its name and what it got. */
async function named(name: string): Promise<Backend> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    let got = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => (got += chunk.toString()))
    socket.on('end', () => socket.end(`${name}:${got}`))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  opened.push(server)
  return { ip: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

async function open(): Promise<{ proxy: PortProxy; failures: Backend[] }> {
  const failures: Backend[] = []
  const proxy = await openPortProxy({
    resolve: async ({ ip, port }) => ({ host: ip, port }),
    onFailure: (backend) => void failures.push(backend),
  })
  opened.push(proxy)
  return { proxy, failures }
}

/** Says something, ends its half, and reads the answer to the end. */
function ask({ address }: PortProxy, text = 'hi'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, allowHalfOpen: true }, () => socket.end(text))
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
  })
}

describe('the proxy of a Service port', () => {
  test('takes turns, and half-closed connections work', async () => {
    const { proxy } = await open()
    proxy.setBackends([await named('a'), await named('b')], undefined)
    const answers = [await ask(proxy), await ask(proxy), await ask(proxy), await ask(proxy)]
    expect(answers.sort()).toEqual(['a:hi', 'a:hi', 'b:hi', 'b:hi'])
  })

  test('passes over a backend that does not answer, without losing a byte', async () => {
    const { proxy, failures } = await open()
    const dead = { ip: '127.0.0.1', port: 1 }
    proxy.setBackends([dead, await named('a')], undefined)
    expect(await ask(proxy, 'first')).toBe('a:first')
    expect(await ask(proxy, 'second')).toBe('a:second')
    expect(failures).toContainEqual(dead)
  })

  test('without backends a connection is refused', async () => {
    const { proxy } = await open()
    await expect(ask(proxy)).rejects.toThrow('ECONNRESET')
  })

  test('a backend that leaves keeps the connections it has', async () => {
    const { proxy } = await open()
    const [a, b] = [await named('a'), await named('b')]
    proxy.setBackends([a], undefined)
    const socket = connect({ ...proxy.address, allowHalfOpen: true })
    const answered = new Promise<string>((resolve) => {
      let answer = ''
      socket.on('data', (chunk) => (answer += chunk.toString()))
      socket.on('end', () => resolve(answer))
    })
    socket.write('early ')
    // Another connection through the proxy: the first has been forwarded by then.
    expect(await ask(proxy)).toBe('a:hi')
    proxy.setBackends([b], undefined)
    expect(await ask(proxy)).toBe('b:hi')
    socket.end('late')
    expect(await answered).toBe('a:early late')
  })

  test('affinity keeps a client with one backend, for as long as it is there', async () => {
    const { proxy } = await open()
    const [a, b] = [await named('a'), await named('b')]
    proxy.setBackends([a, b], 60)
    const first = await ask(proxy)
    for (let index = 0; index < 5; index++) expect(await ask(proxy)).toBe(first)
    proxy.setBackends([first.startsWith('a') ? b : a], 60)
    expect(await ask(proxy)).not.toBe(first)
  })
})
