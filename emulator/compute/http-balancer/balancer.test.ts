// What clients of the emulated HTTP load balancer see, with real servers behind it.

import {
  createServer,
  get,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { eventually } from '#test/support/eventually.ts'
import { selfSigned } from '#test/support/certificates.ts'
import { createHttpBalancer, type HttpBalancer } from './balancer.ts'
import type { BalancerConfig, Frontend, ServiceConfig } from './config.ts'
import type { Choice } from './url-map.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Backend {
  port: number
  server: Server
  requests: IncomingMessage[]
}

async function aBackend(
  handle: (req: IncomingMessage, res: ServerResponse) => void = (_req, res) => res.end('hello'),
): Promise<Backend> {
  const requests: IncomingMessage[] = []
  const server = createServer((req, res) => {
    if (req.url === '/healthz') return res.end('ok')
    requests.push(req)
    return handle(req, res)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, requests, port: (server.address() as AddressInfo).port }
}

function aService(ports: readonly number[], wishes: Partial<ServiceConfig> = {}): ServiceConfig {
  return {
    name: 'web',
    endpoints: ports.map((port) => ({ name: `10.4.0.2:${port}`, at: { host: '127.0.0.1', port } })),
    probe: {
      path: '/healthz',
      intervalMs: 50,
      timeoutMs: 2000,
      healthyThreshold: 1,
      unhealthyThreshold: 2,
    },
    drainingMs: 5000,
    timeoutMs: 30_000,
    affinity: 'NONE',
    ...wishes,
  }
}

function aFrontend(fallback: Choice, wishes: Partial<Frontend> = {}): Frontend {
  return {
    rule: 'fr',
    // An address that nobody can listen on: the balancer goes to a free port.
    address: '192.0.2.1',
    port: 80,
    urlMap: { fallback, hosts: [] },
    ...wishes,
  }
}

async function open(config: BalancerConfig): Promise<HttpBalancer & { port: number }> {
  const balancer = createHttpBalancer()
  closing.push(() => balancer.close())
  await balancer.apply(config)
  await eventually(async () => {
    const states = Object.values(balancer.health()).flatMap((health) => Object.values(health))
    expect(states).not.toContain('UNKNOWN')
  })
  return { ...balancer, port: balancer.listeners()[0]?.hostPort ?? 0 }
}

interface Answer {
  status: number | undefined
  body: string
  headers: IncomingMessage['headers']
}

function ask(
  port: number,
  options: { method?: string; body?: string; headers?: object; path?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', body, headers, path = '/' } = options
    const req = request(
      { host: '127.0.0.1', port, method, path, agent: false, headers: { ...headers } },
      (res) => {
        let text = ''
        res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        res.on('end', () => resolve({ status: res.statusCode, body: text, headers: res.headers }))
        res.on('error', reject)
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

/** A port that nobody listens on. */
async function deadPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

describe('a request', () => {
  test('carries what Google adds, and its answer too', async () => {
    const backend = await aBackend()
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([backend.port])],
    })
    const answer = await ask(port, {
      headers: { 'x-forwarded-for': '1.2.3.4', host: 'shop.example' },
    })
    expect(answer).toMatchObject({ status: 200, body: 'hello', headers: { via: '1.1 google' } })
    expect(backend.requests[0]?.headers).toMatchObject({
      host: 'shop.example',
      via: '1.1 google',
      'x-forwarded-for': '1.2.3.4,127.0.0.1,192.0.2.1',
      'x-forwarded-proto': 'http',
      'x-cloud-trace-context': expect.stringMatching(/^[0-9a-f]{32}\/\d+$/),
    })
  })

  test.each([
    ['no rule', { status: 404 }, 404, 'The requested URL was not found on this server.'],
    ['a service that is not there', { service: 'nobody' }, 503, 'no healthy upstream'],
  ] as const)('with %s is answered by the balancer', async (_, choice, status, text) => {
    const { port } = await open({ frontends: [aFrontend(choice)], services: [] })
    const answer = await ask(port)
    expect(answer).toMatchObject({ status, headers: { via: '1.1 google' } })
    expect(answer.body).toContain(text)
  })

  test('goes to another endpoint when the first does not answer, whatever its method', async () => {
    const backend = await aBackend((req, res) => {
      req.pipe(res)
    })
    const dead = await aBackend()
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [
        aService([dead.port, backend.port], {
          // Only the first probe counts: the dead one stays in the turn.
          probe: {
            intervalMs: 600_000,
            timeoutMs: 2000,
            healthyThreshold: 1,
            unhealthyThreshold: 9,
          },
        }),
      ],
    })
    await new Promise((done) => dead.server.close(done))
    for (let turn = 0; turn < 4; turn++) {
      expect(await ask(port, { method: 'POST', body: `body ${turn}` })).toMatchObject({
        status: 200,
        body: `body ${turn}`,
      })
    }
    expect(backend.requests).toHaveLength(4)
  })

  test('that broke off is repeated when it may be, and otherwise is 502', async () => {
    const breaking = await aBackend((req) => {
      req.socket.destroy()
    })
    const good = await aBackend()
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([breaking.port, good.port])],
    })
    const gets = await Promise.all([1, 2, 3, 4].map(() => ask(port)))
    expect(gets.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const posts = await Promise.all([1, 2].map(() => ask(port, { method: 'POST', body: 'x' })))
    expect(new Set(posts.map(({ status }) => status))).toEqual(new Set([200, 502]))
    expect(posts.find(({ status }) => status === 502)?.body).toContain(
      'The server encountered a temporary error and could not complete your request.',
    )
  })

  test('that takes too long is 504', async () => {
    const slow = await aBackend(() => {})
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([slow.port], { timeoutMs: 100 })],
    })
    expect(await ask(port)).toMatchObject({ status: 504, body: 'upstream request timeout' })
  })

  test('is answered piece by piece', async () => {
    let end: (() => void) | undefined
    const backend = await aBackend((_req, res) => {
      res.write('first')
      end = () => res.end('last')
    })
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([backend.port])],
    })
    const pieces: string[] = []
    await new Promise<void>((done, fail) => {
      get({ host: '127.0.0.1', port, agent: false }, (res) => {
        res.setEncoding('utf8').on('data', (piece: string) => {
          pieces.push(piece)
          end?.()
        })
        res.on('end', done)
      }).on('error', fail)
    })
    expect(pieces).toEqual(['first', 'last'])
  })

  test('may become a WebSocket', async () => {
    const backend = await aBackend()
    const sockets = new WebSocketServer({ server: backend.server })
    sockets.on('connection', (socket) =>
      socket.on('message', (data: Buffer) => socket.send(`echo ${data.toString()}`)),
    )
    closing.push(() => sockets.close())
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([backend.port])],
    })
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
    closing.push(() => socket.terminate())
    const answer = await new Promise((done, fail) => {
      socket.on('open', () => socket.send('hi'))
      socket.on('message', (data: Buffer) => done(data.toString()))
      socket.on('error', fail)
    })
    expect(answer).toBe('echo hi')
  })

  test('keeps its connection', async () => {
    const backend = await aBackend()
    const { port } = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([backend.port])],
    })
    const socket = connect(port, '127.0.0.1')
    closing.push(() => socket.destroy())
    for (let turn = 0; turn < 3; turn++) {
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      expect(await nextAnswer(socket)).toContain('HTTP/1.1 200 OK')
    }
    expect(backend.requests).toHaveLength(3)
  })
})

function nextAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const onData = (chunk: Buffer): void => {
      text += chunk.toString()
      if (!text.endsWith('hello')) return
      socket.off('data', onData)
      resolve(text)
    }
    socket.on('data', onData)
    socket.once('close', () => reject(new Error(`closed after ${text}`)))
  })
}

describe('endpoints', () => {
  test('get requests while they are healthy', async () => {
    const [one, two] = [await aBackend(), await aBackend()]
    const balancer = await open({
      frontends: [aFrontend({ service: 'web' })],
      services: [aService([one.port, two.port, await deadPort()])],
    })
    await Promise.all(Array.from({ length: 10 }, () => ask(balancer.port)))
    expect([one.requests.length, two.requests.length]).toEqual([5, 5])
    one.server.closeAllConnections()
    await new Promise((done) => one.server.close(done))
    await eventually(async () => {
      expect(balancer.health()).toMatchObject({
        web: { [`10.4.0.2:${one.port}`]: 'UNHEALTHY', [`10.4.0.2:${two.port}`]: 'HEALTHY' },
      })
    })
    expect(await ask(balancer.port)).toMatchObject({ status: 200 })
  })

  test('that are taken off finish what they have begun, and get nothing new', async () => {
    let end: (() => void) | undefined
    const leaving = await aBackend((_req, res) => {
      end = () => res.end('late')
    })
    const staying = await aBackend()
    const frontends = [aFrontend({ service: 'web' })]
    const balancer = await open({ frontends, services: [aService([leaving.port])] })
    const begun = ask(balancer.port)
    await eventually(async () => expect(leaving.requests).toHaveLength(1))
    await balancer.apply({ frontends, services: [aService([staying.port])] })
    await eventually(async () => expect(await ask(balancer.port)).toMatchObject({ body: 'hello' }))
    end?.()
    expect(await begun).toMatchObject({ status: 200, body: 'late' })
    expect(leaving.requests).toHaveLength(1)
  })
})

test('the certificate is that of the host, and a new one needs no new connection', async () => {
  const backend = await aBackend()
  const [shop, mail, other] = await Promise.all(
    ['shop.example', '*.mail.example', 'other.example'].map((host) => selfSigned(host)),
  )
  if (!shop || !mail || !other) throw new Error('no certificates')
  const config = (certificates: Frontend['certificates']): BalancerConfig => ({
    frontends: [
      aFrontend({ service: 'web' }, { port: 443, ...(certificates ? { certificates } : {}) }),
    ],
    services: [aService([backend.port])],
  })
  const balancer = await open(config([shop, mail]))
  const shown = (servername: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: balancer.port, servername, agent: false }
      const req = httpsRequest({ ...options, rejectUnauthorized: false }, (res) => {
        const peer = 'getPeerCertificate' in res.socket ? res.socket : undefined
        const { subject } = (peer as import('node:tls').TLSSocket).getPeerCertificate()
        res.resume().on('end', () => resolve(String(subject.CN)))
      })
      req.on('error', reject).end()
    })
  expect(await shown('shop.example')).toBe('shop.example')
  expect(await shown('a.mail.example')).toBe('*.mail.example')
  expect(await shown('unknown.example')).toBe('shop.example')
  expect(backend.requests[0]?.headers['x-forwarded-proto']).toBe('https')
  await balancer.apply(config([other]))
  expect(await shown('shop.example')).toBe('other.example')
})
