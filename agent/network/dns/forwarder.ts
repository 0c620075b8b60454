// Asks the VM's own resolver for names outside of the cluster, and remembers what it said. Bounded in
// every direction: questions under way, time, memory. A stub: it trusts its resolver to resolve.

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { agesOf, HEADER_BYTES, renewed, skipQuestions } from './wire.ts'

export interface ForwarderOptions {
  /** Addresses of resolvers, asked in their order. Read anew each time: a lease may change them. */
  servers: () => readonly string[]
  now: () => number
  port?: number
}

/** A question that did not get an answer. */
export class NoAnswerError extends Error {}

const TRY_MS = 1500
const ROUNDS = 2
const UNDER_WAY_MAX = 1000
const CACHE_MAX = 10_000
/** A message in the cache; larger ones are asked for again. */
const KEPT_BYTES_MAX = 4096
const KEPT_SECONDS_MAX = 300
const DNS_PORT = 53
const RESPONSE_MAX = 65_535

interface Kept {
  message: Buffer
  offsets: number[]
  at: number
  seconds: number
}

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #cache = new Map<string, Kept>()
  readonly #underWay = new Map<string, Promise<Buffer>>()

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  /** The resolver's answer to a query, with the query's number. Rejects with NoAnswerError. */
  async ask(query: Buffer): Promise<Buffer> {
    const key = keyOf(query)
    const kept = this.#kept(key)
    if (kept) {
      const olderSeconds = Math.floor((this.#options.now() - kept.at) / 1000)
      return renewed(kept.message, kept, { query, olderSeconds })
    }
    const message = await this.#askOnce(key, query)
    return renewed(message, { offsets: [] }, { query, olderSeconds: 0 })
  }

  /** Those who ask the same at the same time share a question. */
  #askOnce(key: string, query: Buffer): Promise<Buffer> {
    const known = this.#underWay.get(key)
    if (known) return known
    if (this.#underWay.size >= UNDER_WAY_MAX) {
      return Promise.reject(new NoAnswerError('too many questions are under way'))
    }
    const asking = this.#askServers(query)
      .then((message) => {
        this.#keep(key, message)
        return message
      })
      .finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, asking)
    return asking
  }

  async #askServers(query: Buffer): Promise<Buffer> {
    const { servers, port = DNS_PORT } = this.#options
    let last: unknown = new Error('the machine has no resolver')
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers()) {
        try {
          const answer = await askUdp(query, server, port)
          return isTruncated(answer) ? await askTcp(query, server, port) : answer
        } catch (error) {
          last = error
        }
      }
    }
    throw new NoAnswerError('no resolver answers', { cause: last })
  }

  #kept(key: string): Kept | undefined {
    const kept = this.#cache.get(key)
    if (!kept) return undefined
    this.#cache.delete(key)
    if (this.#options.now() - kept.at >= kept.seconds * 1000) return undefined
    // Used last: dropped last.
    this.#cache.set(key, kept)
    return kept
  }

  #keep(key: string, message: Buffer): void {
    const rcode = message.readUInt8(3) & 0x0f
    // Only answers, and that there is no such name.
    if ((rcode !== 0 && rcode !== 3) || message.length > KEPT_BYTES_MAX) return
    const { offsets, seconds } = safeAges(message)
    if (!seconds) return
    const kept = { message, offsets, at: this.#options.now() }
    this.#cache.set(key, { ...kept, seconds: Math.min(seconds, KEPT_SECONDS_MAX) })
    if (this.#cache.size <= CACHE_MAX) return
    const [oldest] = this.#cache.keys()
    if (oldest !== undefined) this.#cache.delete(oldest)
  }
}

function safeAges(message: Buffer): ReturnType<typeof agesOf> {
  try {
    return agesOf(message)
  } catch {
    return { offsets: [], seconds: undefined }
  }
}

/** The question without its number and spelling, and what the asker can take (its EDNS record). */
function keyOf(query: Buffer): string {
  const end = skipQuestions(query)
  const question = query.toString('latin1', HEADER_BYTES, end).toLowerCase()
  // The flags RD and CD, and everything behind the question.
  const flags = `${query.readUInt8(2) & 1}${query.readUInt8(3) & 0x10}`
  return `${flags} ${question} ${query.toString('latin1', end)}`
}

/** A new socket and number for each question: an answer cannot be guessed from elsewhere. */
function askUdp(query: Buffer, server: string, port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    const sent = withNumber(query)
    const end = (error: Error | undefined, message?: Buffer): void => {
      clearTimeout(timer)
      socket.close()
      if (message) resolve(message)
      else reject(error ?? new Error('no answer'))
    }
    const timer = setTimeout(() => end(new Error(`${server} does not answer`)), TRY_MS)
    socket.on('error', (error) => end(error))
    socket.on('message', (message) => {
      if (isAnswerTo(sent, message)) end(undefined, message)
    })
    socket.connect(port, server, () => socket.send(sent))
  })
}

function askTcp(query: Buffer, server: string, port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const sent = withNumber(query)
    const socket = connect({ host: server, port })
    let got = Buffer.alloc(0)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(new Error(`${server} does not answer`)), TRY_MS)
    socket.on('error', fail)
    socket.on('close', () => fail(new Error(`${server} hung up`)))
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk])
      if (got.length > RESPONSE_MAX + 2) return fail(new Error(`${server} says too much`))
      if (got.length < 2 || got.length < got.readUInt16BE(0) + 2) return
      const message = got.subarray(2, got.readUInt16BE(0) + 2)
      if (!isAnswerTo(sent, message)) return fail(new Error(`${server} answers something else`))
      clearTimeout(timer)
      resolve(message)
      socket.destroy()
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(sent.length)
    socket.write(Buffer.concat([length, sent]))
  })
}

function withNumber(query: Buffer): Buffer {
  const copy = Buffer.from(query)
  copy.writeUInt16BE(randomInt(65_536), 0)
  return copy
}

/** An answer, with this number, to this question. */
function isAnswerTo(query: Buffer, message: Buffer): boolean {
  if (message.length < HEADER_BYTES || (message.readUInt8(2) & 0x80) === 0) return false
  if (message.readUInt16BE(0) !== query.readUInt16BE(0)) return false
  try {
    const end = skipQuestions(query)
    const question = (from: Buffer): string =>
      from.toString('latin1', HEADER_BYTES, end).toLowerCase()
    return skipQuestions(message) === end && question(message) === question(query)
  } catch {
    return false
  }
}

function isTruncated(message: Buffer): boolean {
  return (message.readUInt8(2) & 0x02) !== 0
}
