// SPDY/3.1 frames: cut out of a stream of bytes that comes in any pieces, and written. What only a
// browser needs (settings, credentials, windows) is skipped: Kubernetes' clients use none of it.

import { HeaderReader, HeaderWriter, ProtocolError } from './header-block.ts'
import type { HeaderList } from './header-block.ts'

export const RESET = { protocolError: 1, refused: 3, cancel: 5 } as const

const VERSION = 3
const SYN_STREAM = 1
const SYN_REPLY = 2
const RST_STREAM = 3
const PING = 6
const GOAWAY = 7
const HEADERS = 8

const FIN = 1
const HEAD_BYTES = 8
/** Only data may be longer: it is handed on as it comes. */
const CONTROL_BYTES_MAX = 64 * 1024
const DATA_BYTES_MAX = 0xffffff

export interface FrameListener {
  onOpen(id: number, headers: HeaderList, isLast: boolean): void
  /** A piece of a frame or a whole one; it may be empty when it is the last. */
  onData(id: number, bytes: Buffer, isLast: boolean): void
  onReset(id: number): void
  onPing(id: number): void
}

/** A data frame whose bytes are still coming. */
interface Data {
  id: number
  left: number
  isLast: boolean
}

/** Reads one direction. */
export class FrameReader {
  readonly #listener: FrameListener
  readonly #headers = new HeaderReader()
  #rest: Buffer = Buffer.alloc(0)
  /** The data frame that is being handed on. */
  #data: Data | undefined

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** Errors: ProtocolError. */
  push(chunk: Buffer): void {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    for (let used = this.#take(bytes); used > 0; used = this.#take(bytes)) {
      bytes = bytes.subarray(used)
    }
    this.#rest = Buffer.from(bytes)
  }

  /** Handles what `bytes` begin with; answers how many they were, 0 when more must come first. */
  #take(bytes: Buffer): number {
    if (this.#data) return this.#takeData(this.#data, bytes)
    if (bytes.length < HEAD_BYTES) return 0
    const first = bytes.readUInt32BE(0)
    const last = bytes.readUInt32BE(4)
    const flags = last >>> 24
    const length = last & DATA_BYTES_MAX
    const isLast = (flags & FIN) !== 0
    if (first >>> 31 === 0) {
      if (length > 0) this.#data = { id: first, left: length, isLast }
      else this.#listener.onData(first, Buffer.alloc(0), isLast)
      return HEAD_BYTES
    }
    if (((first >>> 16) & 0x7fff) !== VERSION) throw new ProtocolError('not SPDY/3')
    if (length > CONTROL_BYTES_MAX) throw new ProtocolError(`a control frame of ${length} bytes`)
    if (bytes.length < HEAD_BYTES + length) return 0
    this.#control(first & 0xffff, isLast, bytes.subarray(HEAD_BYTES, HEAD_BYTES + length))
    return HEAD_BYTES + length
  }

  #takeData(data: Data, bytes: Buffer): number {
    const count = Math.min(data.left, bytes.length)
    if (count === 0) return 0
    data.left -= count
    if (data.left === 0) this.#data = undefined
    this.#listener.onData(data.id, bytes.subarray(0, count), data.left === 0 && data.isLast)
    return count
  }

  #control(type: number, isLast: boolean, body: Buffer): void {
    const least = { [SYN_STREAM]: 10, [RST_STREAM]: 8 }[type] ?? 4
    if (body.length < least) throw new ProtocolError(`a control frame of type ${type} is too short`)
    const id = body.readUInt32BE(0) & 0x7fffffff
    switch (type) {
      case SYN_STREAM:
        this.#listener.onOpen(id, this.#headers.read(body.subarray(10)), isLast)
        break
      case SYN_REPLY:
      case HEADERS:
        // Read nevertheless: the blocks of a direction are one compressed stream.
        this.#headers.read(body.subarray(4))
        break
      case RST_STREAM:
        this.#listener.onReset(id)
        break
      case PING:
        this.#listener.onPing(body.readUInt32BE(0))
        break
    }
  }
}

/** Writes one direction. */
export class FrameWriter {
  readonly #headers = new HeaderWriter()

  reply(id: number, headers: HeaderList): Buffer {
    return control(SYN_REPLY, Buffer.concat([word(id), this.#headers.write(headers)]))
  }

  /** One frame, or several when there is much. */
  data(id: number, bytes: Buffer, isLast: boolean): Buffer {
    const parts: Buffer[] = []
    let rest: Buffer = bytes
    do {
      const part = rest.subarray(0, DATA_BYTES_MAX)
      rest = rest.subarray(part.length)
      const flags = isLast && rest.length === 0 ? FIN : 0
      parts.push(word(id), word(flags * 2 ** 24 + part.length), part)
    } while (rest.length > 0)
    return Buffer.concat(parts)
  }

  reset(id: number, status: number): Buffer {
    return control(RST_STREAM, Buffer.concat([word(id), word(status)]))
  }

  ping(id: number): Buffer {
    return control(PING, word(id))
  }

  /** The connection ends because of an error of the peer's; `id`: the last stream it opened. */
  goAway(id: number): Buffer {
    return control(GOAWAY, Buffer.concat([word(id), word(RESET.protocolError)]))
  }
}

function control(type: number, body: Buffer): Buffer {
  return Buffer.concat([word(0x80000000 + VERSION * 2 ** 16 + type), word(body.length), body])
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
