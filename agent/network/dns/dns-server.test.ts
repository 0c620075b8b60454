import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { decode, encode, streamDecode, streamEncode } from 'dns-packet'
import type { Answer, DecodedPacket, Packet } from 'dns-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isFree } from '../free-port.ts'
import { ClusterNames } from './cluster-names.ts'
import { startDnsServer } from './dns-server.ts'
import type { DnsServer, DnsServerOptions } from './dns-server.ts'
import { Forwarder } from './forwarder.ts'

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

let now = 0
let port = 0
let server: DnsServer
let upstream: Upstream
let options: DnsServerOptions
beforeEach(async () => {
  now = 1_000_000
  upstream = await startUpstream()
  const names = new ClusterNames('cluster.local', '127.0.0.1')
  const meta = { namespace: 'default', uid: '', creationTimestamp: '' }
  const external = (name: string, externalName: string): void =>
    names.set(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { ...meta, name },
        spec: { type: 'ExternalName', externalName },
      },
      [],
    )
  external('away', 'example.com')
  external('here', 'web.default.svc.cluster.local')
  external('loop', 'loop.default.svc.cluster.local')
  names.set(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...meta, name: 'web' },
      spec: { clusterIP: '10.0.0.1' },
    },
    [],
  )
  names.set(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...meta, name: 'many' },
      spec: { clusterIP: 'None' },
    },
    [
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...meta, name: 'many-1' },
        addressType: 'IPv4',
        endpoints: Array.from({ length: 100 }, (_, index) => ({ addresses: [`10.4.1.${index}`] })),
      },
    ],
  )
  const forwarder = new Forwarder({
    servers: () => ['127.0.0.1'],
    now: () => now,
    port: upstream.port,
  })
  port = await freeForBoth()
  options = { address: '127.0.0.1', port, names, forwarder, log: LOG }
  server = await startDnsServer(options)
})
afterEach(() => {
  server.close()
  upstream.close()
})

async function freeForBoth(): Promise<number> {
  for (;;) {
    const socket = createSocket('udp4')
    await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
    const found = socket.address().port
    await new Promise<void>((done) => socket.close(done))
    if (await isFree(found)) return found
  }
}

interface Upstream {
  port: number
  asked: string[]
  /** What it answers from now on. */
  answers: Answer[]
  rcode: number
  isTruncating: boolean
  close(): void
}

/** A resolver, over UDP and TCP. */
async function startUpstream(): Promise<Upstream> {
  const udp: Socket = createSocket('udp4')
  await new Promise<void>((done) => udp.bind(0, '127.0.0.1', done))
  const state: Upstream = {
    port: udp.address().port,
    asked: [],
    answers: [{ name: 'example.com', type: 'A', ttl: 100, data: '192.0.2.1' }],
    rcode: 0,
    isTruncating: false,
    close: () => {
      udp.close()
      tcp.close()
    },
  }
  const answerTo = (query: Packet, how: string): Packet => {
    const { id = 0, questions = [] } = query
    state.asked.push(`${how} ${questions[0]?.name}`)
    const isCut = state.isTruncating && how === 'udp'
    const answers = isCut ? [] : state.answers
    return { type: 'response', id, flags: state.rcode | (isCut ? 1 << 9 : 0), questions, answers }
  }
  udp.on('message', (query, from) =>
    udp.send(encode(answerTo(decode(query), 'udp')), from.port, from.address),
  )
  const tcp: Server = createServer((socket) => {
    socket.once('data', (chunk: Buffer) =>
      socket.end(streamEncode(answerTo(streamDecode(chunk), 'tcp'))),
    )
  })
  await new Promise<void>((done) => tcp.listen(state.port, '127.0.0.1', done))
  return state
}

/** Sends messages over UDP; the first that comes back. */
async function raw(...messages: Buffer[]): Promise<Buffer> {
  const socket = createSocket('udp4')
  try {
    return await new Promise((resolve) => {
      socket.once('message', resolve)
      for (const message of messages) socket.send(message, port, '127.0.0.1')
    })
  } finally {
    socket.close()
  }
}

function query(name: string, type = 'A', more: Partial<Packet> = {}): Buffer {
  const questions = [{ name, type: type as 'A' }]
  return encode({ type: 'query', id: 77, flags: 1 << 8, questions, ...more })
}

const edns = (udpPayloadSize: number): Partial<Packet> => ({
  additionals: [
    {
      name: '.',
      type: 'OPT',
      udpPayloadSize,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    },
  ],
})

const ask = async (...args: Parameters<typeof query>): Promise<DecodedPacket> =>
  decode(await raw(query(...args)))
const data = (packet: Packet): unknown[] =>
  (packet.answers ?? []).map((each) => ('data' in each ? each.data : undefined))

describe('the cluster DNS', () => {
  test('answers as the authority, to the number that was asked', async () => {
    const answer = await ask('web.default.svc.cluster.local')
    expect(answer).toMatchObject({ id: 77, flag_aa: true, flag_ra: true, flag_rd: true })
    expect(answer.answers).toMatchObject([{ type: 'A', ttl: 30, data: '10.0.0.1' }])
    expect(upstream.asked).toEqual([])
  })

  test('lets a question wait while it does not know its names; others are passed on', async () => {
    server.close()
    port = await freeForBoth()
    const { promise: known, resolve } = Promise.withResolvers<void>()
    server = await startDnsServer({ ...options, port, known })
    let isAnswered = false
    const asked = ask('web.default.svc.cluster.local').finally(() => (isAnswered = true))
    expect(data(await ask('example.com'))).toEqual(['192.0.2.1'])
    expect(isAnswered).toBe(false)
    resolve()
    expect(data(await asked)).toEqual(['10.0.0.1'])
  })

  test('goes to where an ExternalName leads, outside and inside', async () => {
    expect(data(await ask('away.default.svc.cluster.local'))).toEqual(['example.com', '192.0.2.1'])
    expect(data(await ask('here.default.svc.cluster.local'))).toEqual([
      'web.default.svc.cluster.local',
      '10.0.0.1',
    ])
  })

  test('does not go in circles', async () => {
    const { answers } = await ask('loop.default.svc.cluster.local', 'A', edns(1232))
    expect(answers?.length).toBeGreaterThan(0)
  })

  test('passes other names on, and remembers the answer for as long as it holds', async () => {
    expect((await ask('example.com')).answers).toMatchObject([{ ttl: 100, data: '192.0.2.1' }])
    now += 40_000
    expect((await ask('Example.com')).answers).toMatchObject([{ ttl: 60, data: '192.0.2.1' }])
    expect((await ask('Example.com')).questions).toMatchObject([{ name: 'Example.com' }])
    expect(upstream.asked).toHaveLength(1)
    now += 61_000
    await ask('example.com')
    expect(upstream.asked).toHaveLength(2)
  })

  test('remembers that there is no such name, but not that something went wrong', async () => {
    upstream.answers = []
    upstream.rcode = 2
    expect(await ask('x.example')).toMatchObject({ rcode: 'SERVFAIL' })
    upstream.rcode = 0
    upstream.answers = [{ name: 'x.example', type: 'A', ttl: 9, data: '192.0.2.2' }]
    expect(data(await ask('x.example'))).toEqual(['192.0.2.2'])
  })

  test('asks again over TCP when an answer was cut', async () => {
    upstream.isTruncating = true
    expect(data(await ask('example.com'))).toEqual(['192.0.2.1'])
    expect(upstream.asked).toEqual(['udp example.com', 'tcp example.com'])
  })

  test('many who ask the same at once are one question', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('example.com')))
    expect(answers.map(data)).toEqual(answers.map(() => ['192.0.2.1']))
    expect(upstream.asked.length).toBeLessThan(20)
  })

  test('says when no resolver answers', async () => {
    upstream.close()
    expect(await ask('example.com')).toMatchObject({ rcode: 'SERVFAIL' })
    upstream = await startUpstream()
  })

  test('answers no more over UDP than the asker can take, and the rest over TCP', async () => {
    const name = 'many.default.svc.cluster.local'
    const plain = await raw(query(name))
    expect(plain.length).toBeLessThanOrEqual(512)
    expect(decode(plain)).toMatchObject({ flag_tc: true, answers: [] })
    const large = await raw(query(name, 'A', edns(60_000)))
    expect(large.length).toBeLessThanOrEqual(1232)
    const over = await new Promise<Packet>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      let got = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        got = Buffer.concat([got, chunk])
        if (got.length < 2 || got.length < got.readUInt16BE(0) + 2) return
        socket.destroy()
        resolve(streamDecode(got))
      })
      socket.write(streamEncode({ type: 'query', id: 1, questions: [{ name, type: 'A' }] }))
    })
    expect(over.answers).toHaveLength(100)
  })

  test.each<[string, Buffer, string]>([
    ['another operation', query('a.example', 'A', { flags: 4 << 11 }), 'NOTIMP'],
    ['a question for everything', query('a.example', 'ANY'), 'NOTIMP'],
    ['no question', query('a.example', 'A', { questions: [] }), 'FORMERR'],
    ['rubbish', Buffer.concat([query('a.example').subarray(0, 12), Buffer.from([200])]), 'FORMERR'],
  ])('refuses %s', async (_, message, rcode) => {
    expect(decode(await raw(message))).toMatchObject({ id: 77, rcode })
    expect(upstream.asked).toEqual([])
  })

  test('is silent to answers and to less than a header', async () => {
    const reply = encode({ type: 'response', id: 5, questions: [{ name: 'a.example', type: 'A' }] })
    const first = await raw(reply, Buffer.from('short'), query('web.default.svc.cluster.local'))
    expect(decode(first).id).toBe(77)
  })

  test('cuts off who sends too much over TCP', async () => {
    const socket = connect(port, '127.0.0.1')
    const isClosed = new Promise((done) => socket.once('close', done))
    socket.on('error', () => undefined)
    socket.write(Buffer.from([0xff, 0xff]))
    await isClosed
  })
})
