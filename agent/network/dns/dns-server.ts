// The cluster's DNS on one node: UDP and TCP at one address. Answers the cluster's names itself and
// passes the rest on. What comes in is bounded, and a question never costs more than it asked for:
// answers are no larger than the asker says it can take, and nobody gets an answer to an answer.

import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { decode, encode } from 'dns-packet'
import type { Answer, DecodedPacket } from 'dns-packet'
import type { Log } from '#shared/ports/log.ts'
import { answerOwn, RCODE } from './answer.ts'
import type { OwnAnswer } from './answer.ts'
import type { ClusterNames } from './cluster-names.ts'
import type { Forwarder } from './forwarder.ts'
import { HEADER_BYTES } from './wire.ts'

export interface DnsServerOptions {
  address: string
  port?: number
  names: ClusterNames
  forwarder: Forwarder
  /** When it is known what `names` has; questions for them wait until then. Undefined: it is known. */
  known?: Promise<void>
  log: Log
}

export interface DnsServer {
  close(): void
}

const DNS_PORT = 53
/** Without EDNS. */
const UDP_BYTES = 512
/** With it, at most: what passes every link unfragmented. */
const UDP_BYTES_MAX = 1232
const TCP_CONNECTIONS_MAX = 256
const TCP_IDLE_MS = 10_000
const TCP_QUERY_BYTES_MAX = 4096
const TCP_BYTES_MAX = 65_535
const CNAMES_MAX = 8
/** Who asks when so many wait gets no answer, and asks again. */
const WAITING_MAX = 1000
const RETRY_MS = 1000

const FLAG_RESPONSE = 0x80
const FLAG_TRUNCATED = 0x02
/** 0 is a question. */
const OPCODE = 0x78
const RECURSION_AVAILABLE = 1 << 7
const AUTHORITATIVE = 1 << 10
const TRUNCATED = 1 << 9
const RECURSION_DESIRED = 1 << 8

/** Resolves when it listens. While the address is taken (by the agent before this one) it tries again. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { address, port = DNS_PORT, log } = options
  const resolver = new Resolver(options)
  for (let isTold = false; ; isTold = true) {
    try {
      return await listen(resolver, address, port)
    } catch (error) {
      if (!isTold) log.error('the cluster DNS cannot listen yet', { address, port, error })
      await new Promise((done) => setTimeout(done, RETRY_MS))
    }
  }
}

async function listen(resolver: Resolver, address: string, port: number): Promise<DnsServer> {
  const udp = await openUdp(address, port)
  const tcp = createServer({ noDelay: true }, (socket) => serveTcp(resolver, socket))
  try {
    await openTcp(tcp, address, port)
  } catch (error) {
    udp.close()
    throw error
  }
  udp.on('message', (query, from) => void answerUdp(resolver, udp, query, from))
  return {
    close() {
      udp.close()
      tcp.close()
    },
  }
}

function openUdp(address: string, port: number): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
    socket.once('error', (error) => {
      socket.close()
      reject(error)
    })
    socket.bind(port, address, () => {
      socket.removeAllListeners('error')
      // An answer that cannot be sent is lost, as any packet may be.
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

function openTcp(server: Server, address: string, port: number): Promise<void> {
  server.maxConnections = TCP_CONNECTIONS_MAX
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, () => {
      server.removeListener('error', reject)
      server.on('error', () => undefined)
      resolve()
    })
  })
}

async function answerUdp(
  resolver: Resolver,
  socket: UdpSocket,
  query: Buffer,
  { address, port }: RemoteInfo,
): Promise<void> {
  const answer = await resolver.answer(query, true)
  if (answer) socket.send(answer, port, address, () => undefined)
}

/** One question after the other, each with its length before it. */
function serveTcp(resolver: Resolver, socket: Socket): void {
  let waiting = Buffer.alloc(0)
  let isBusy = false
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  const next = async (): Promise<void> => {
    if (isBusy || waiting.length < 2) return
    const length = waiting.readUInt16BE(0)
    if (length > TCP_QUERY_BYTES_MAX) return void socket.destroy()
    if (waiting.length < length + 2) return
    const query = waiting.subarray(2, length + 2)
    waiting = waiting.subarray(length + 2)
    isBusy = true
    socket.pause()
    const answer = await resolver.answer(query, false)
    isBusy = false
    if (!answer || socket.destroyed) return void socket.destroy()
    const prefix = Buffer.alloc(2)
    prefix.writeUInt16BE(answer.length)
    socket.write(Buffer.concat([prefix, answer]))
    socket.resume()
    await next()
  }
  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk])
    void next()
  })
}

class Resolver {
  readonly #names: ClusterNames
  readonly #forwarder: Forwarder
  #known: Promise<void> | undefined
  #waiting = 0

  constructor({ names, forwarder, known }: DnsServerOptions) {
    this.#names = names
    this.#forwarder = forwarder
    this.#known = known
    void known?.then(() => (this.#known = undefined))
  }

  /** The answer's bytes; undefined: what came is no question, and silence is the answer. */
  async answer(query: Buffer, isUdp: boolean): Promise<Buffer | undefined> {
    if (query.length < HEADER_BYTES || ((query[2] ?? 0) & FLAG_RESPONSE) !== 0) return undefined
    let packet: DecodedPacket
    try {
      packet = decode(query)
    } catch {
      return errorTo(query, RCODE.format)
    }
    const [question] = packet.questions ?? []
    if (((query[2] ?? 0) & OPCODE) !== 0) return errorTo(query, RCODE.notImplemented)
    if (!question || packet.questions?.length !== 1) return errorTo(query, RCODE.format)
    const limit = isUdp ? udpLimit(packet) : TCP_BYTES_MAX
    const { name, type, class: kind = 'IN' } = question
    // A question for everything is answered by nobody any more: RFC 8482.
    const asked: string = type
    if (kind !== 'IN' || asked === 'ANY') return errorTo(query, RCODE.notImplemented)
    let own = answerOwn(this.#names, { name, type })
    if (this.#known && (own || type === 'PTR')) {
      // An agent that has just started: that it knows no such name yet is no answer.
      if (!(await this.#hasWaited())) return undefined
      own = answerOwn(this.#names, { name, type })
    }
    if (!own) return this.#forward(query, limit)
    if (own.cname && type !== 'CNAME') await this.#follow(own, own.cname, type, CNAMES_MAX)
    return encoded(packet, own, limit)
  }

  /** False: too many wait already. */
  async #hasWaited(): Promise<boolean> {
    if (this.#waiting >= WAITING_MAX) return false
    this.#waiting++
    await this.#known
    this.#waiting--
    return true
  }

  async #forward(query: Buffer, limit: number): Promise<Buffer> {
    try {
      const answer = await this.#forwarder.ask(query)
      return answer.length <= limit ? answer : truncated(query, answer)
    } catch {
      return errorTo(query, RCODE.failure)
    }
  }

  /** Adds what the name of an ExternalName Service leads to: clients do not ask again themselves. */
  async #follow(own: OwnAnswer, name: string, type: string, left: number): Promise<void> {
    const local = answerOwn(this.#names, { name, type })
    if (local) {
      own.answers.push(...local.answers)
      if (local.cname && left > 0) await this.#follow(own, local.cname, type, left - 1)
      return
    }
    try {
      const query = encode({
        type: 'query',
        id: 0,
        flags: RECURSION_DESIRED,
        questions: [{ name, type: type as Answer['type'], class: 'IN' }],
      })
      const { answers = [] } = decode(await this.#forwarder.ask(query))
      own.answers.push(...answers)
    } catch {
      // The name stands for itself; who asks finds out that it leads nowhere.
    }
  }
}

function udpLimit({ additionals = [] }: DecodedPacket): number {
  const edns = additionals.find((record) => record.type === 'OPT')
  if (edns?.type !== 'OPT') return UDP_BYTES
  return Math.min(Math.max(edns.udpPayloadSize, UDP_BYTES), UDP_BYTES_MAX)
}

function encoded(query: DecodedPacket, own: OwnAnswer, limit: number): Buffer {
  const hasEdns = query.additionals?.some(({ type }) => type === 'OPT') ?? false
  const edns: Answer[] = hasEdns
    ? [
        {
          name: '.',
          type: 'OPT',
          udpPayloadSize: UDP_BYTES_MAX,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ]
    : []
  const asked = query.flag_rd ? RECURSION_DESIRED : 0
  const flags = AUTHORITATIVE | RECURSION_AVAILABLE | asked | own.rcode
  const common = { type: 'response' as const, id: query.id ?? 0, questions: query.questions ?? [] }
  const { answers, authorities } = own
  const full = encode({
    ...common,
    flags,
    answers,
    authorities,
    additionals: [...own.additionals, ...edns],
  })
  if (full.length <= limit) return full
  const short = encode({ ...common, flags, answers, authorities, additionals: edns })
  if (short.length <= limit) return short
  return encode({ ...common, flags: flags | TRUNCATED, additionals: edns })
}

/** The header and the question of a query, as an answer that says only what is wrong. */
function errorTo(query: Buffer, rcode: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  query.copy(header, 0, 0, 4)
  header[2] = ((query[2] ?? 0) & 0x79) | FLAG_RESPONSE
  header[3] = RECURSION_AVAILABLE | rcode
  if (rcode === RCODE.format) return header
  try {
    const { id = 0, questions = [], flag_rd: isAsked } = decode(query)
    const flags = RECURSION_AVAILABLE | (isAsked ? RECURSION_DESIRED : 0) | rcode
    return encode({ type: 'response', id, flags, questions })
  } catch {
    return header
  }
}

/** Too long for UDP: the asker comes again over TCP. */
function truncated(query: Buffer, answer: Buffer): Buffer {
  const short = errorTo(query, RCODE.ok)
  short[2] = (short[2] ?? 0) | FLAG_TRUNCATED
  short[3] = answer[3] ?? 0
  return short
}
