// The server's side of a SPDY/3.1 connection as kubelet's: the client opens streams, each stream is a
// Duplex. Neither side grants windows, for Kubernetes' clients neither send nor heed them: a stream
// whose reader is behind stops the whole connection, so no more is kept than a little a stream.

import { Duplex } from 'node:stream'
import { FrameReader, FrameWriter, RESET } from './frames.ts'
import { ProtocolError } from './header-block.ts'
import type { HeaderList } from './header-block.ts'

/** Kept of one stream before its connection is no longer read. */
const BUFFER_BYTES = 256 * 1024
const STREAMS_MAX = 2000

export class SpdyConnection {
  readonly #carrier: Duplex
  readonly #onStream: (stream: SpdyStream) => void
  readonly #reader: FrameReader
  readonly #writer = new FrameWriter()
  readonly #streams = new Map<number, SpdyStream>()
  /** Those whose readers are behind. */
  readonly #full = new Set<SpdyStream>()
  #newest = 0
  #isBroken = false

  /**
   * `carrier` brings the bytes: a socket, or a WebSocket as a stream. Who does not want a stream
   * destroys it.
   */
  constructor(carrier: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#carrier = carrier
    this.#onStream = onStream
    this.#reader = new FrameReader({
      onOpen: (id, headers, isLast) => this.#open(id, headers, isLast),
      onData: (id, bytes, isLast) => this.#streams.get(id)?.receive(bytes, isLast),
      onReset: (id) => this.#streams.get(id)?.wasReset(),
      // An odd number is the client's question; ours would be even, and we ask nothing.
      onPing: (id) => void (id % 2 === 1 && this.#send(this.#writer.ping(id))),
    })
    carrier.on('data', (chunk: Buffer) => this.#receive(chunk))
    carrier.on('error', () => carrier.destroy())
    carrier.on('end', () => carrier.end())
    carrier.on('close', () => {
      for (const stream of this.#streams.values()) stream.wasReset()
    })
  }

  /** Calls when the connection has gone, whoever ended it. */
  onClose(listener: () => void): void {
    this.#carrier.once('close', listener)
  }

  /** Sends what is pending and ends it. */
  end(): void {
    this.#carrier.end()
  }

  #receive(chunk: Buffer): void {
    if (this.#isBroken) return
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#isBroken = true
      this.#carrier.end(this.#writer.goAway(this.#newest), () => this.#carrier.destroy())
    }
  }

  #open(id: number, headers: HeaderList, isLast: boolean): void {
    if (id % 2 === 0 || id <= this.#newest) throw new ProtocolError(`stream ${id} out of turn`)
    this.#newest = id
    if (this.#streams.size >= STREAMS_MAX) {
      this.#send(this.#writer.reset(id, RESET.refused))
      return
    }
    const stream = new SpdyStream(headers, {
      send: (bytes, isEnd, done) => this.#send(this.#writer.data(id, bytes, isEnd), done),
      setFull: (isFull) => this.#setFull(stream, isFull),
      close: (isAborted) => {
        this.#streams.delete(id)
        this.#setFull(stream, false)
        if (isAborted) this.#send(this.#writer.reset(id, RESET.cancel))
      },
    })
    this.#streams.set(id, stream)
    this.#send(this.#writer.reply(id, {}))
    this.#onStream(stream)
    if (isLast) stream.receive(Buffer.alloc(0), true)
  }

  #setFull(stream: SpdyStream, isFull: boolean): void {
    if (isFull) {
      this.#full.add(stream)
      this.#carrier.pause()
    } else if (this.#full.delete(stream) && this.#full.size === 0) this.#carrier.resume()
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void = () => undefined): void {
    if (this.#carrier.writable) this.#carrier.write(bytes, done)
    else done(new Error('the connection has gone'))
  }
}

interface StreamLink {
  /** Calls back when the carrier has taken the bytes. */
  send(bytes: Buffer, isEnd: boolean, done: (error?: Error | null) => void): void
  setFull(isFull: boolean): void
  /** `isAborted`: the client does not know yet. */
  close(isAborted: boolean): void
}

/** One stream: its two directions end by themselves; destroying it resets it. */
export class SpdyStream extends Duplex {
  readonly headers: HeaderList
  readonly #link: StreamLink
  /** The directions that are still open. */
  #isReceiving = true
  #isSending = true

  constructor(headers: HeaderList, link: StreamLink) {
    super({ allowHalfOpen: true, readableHighWaterMark: BUFFER_BYTES })
    this.headers = headers
    this.#link = link
    // Who uses it sees `close`; a stream that fails must not end the agent.
    this.on('error', () => undefined)
  }

  /** The connection brings bytes. */
  receive(bytes: Buffer, isLast: boolean): void {
    if (!this.#isReceiving || this.destroyed) return
    if (bytes.length > 0 && !this.push(bytes)) this.#link.setFull(true)
    if (!isLast) return
    this.#isReceiving = false
    this.push(null)
  }

  /** The client has given it up, or the connection has gone. */
  wasReset(): void {
    this.#isReceiving = false
    this.#isSending = false
    this.destroy()
  }

  override _read(): void {
    this.#link.setFull(false)
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#link.send(chunk, false, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#isSending = false
    this.#link.send(Buffer.alloc(0), true, done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#link.close(this.#isReceiving || this.#isSending)
    done(error)
  }
}
