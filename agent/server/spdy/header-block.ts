// SPDY's header blocks: names and values with their lengths, as one zlib stream a direction. Read and
// written without a stream of Node's, so that frames are handled in one go and in their order: each
// block ends at a byte (it is flushed), so it can be inflated alone against what came before it, and
// what we write is stored instead of compressed, for it is four bytes.

import { inflateRawSync, constants } from 'node:zlib'
import { DICTIONARY, DICTIONARY_ID } from './dictionary.ts'

/** A peer that does not keep to the protocol; the connection cannot go on. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

export type HeaderList = Readonly<Record<string, string>>

const WINDOW_BYTES = 32 * 1024
const BLOCK_BYTES_MAX = 64 * 1024
const HAS_DICTIONARY = 0x20
/** The start of a zlib stream: deflate with a window of 32 KiB, and which dictionary it needs. */
const PREFIX = Buffer.from([0x78, 0xbb, ...uint32(DICTIONARY_ID)])
const STORED_BYTES_MAX = 0xffff
/** An empty block: Go's reader hands out what it has only when it sees one. */
const FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff])

/** Reads the blocks of one direction, in their order. */
export class HeaderReader {
  /** What the next block may refer to. */
  #window: Buffer | undefined

  /** Errors: ProtocolError. */
  read(block: Buffer): HeaderList {
    const isFirst = this.#window === undefined
    if (isFirst && !isZlib(block)) throw new ProtocolError('a header block that is not zlib')
    const dictionary = this.#window ?? DICTIONARY
    const plain = inflate(isFirst ? block.subarray(PREFIX.length) : block, dictionary)
    this.#window = Buffer.concat([dictionary, plain]).subarray(-WINDOW_BYTES)
    return parse(plain)
  }
}

/** Writes the blocks of one direction. */
export class HeaderWriter {
  #hasBegun = false

  write(headers: HeaderList): Buffer {
    const entries = Object.entries(headers)
    const parts = [Buffer.from(uint32(entries.length))]
    for (const text of entries.flat()) {
      const bytes = Buffer.from(text)
      parts.push(Buffer.from(uint32(bytes.length)), bytes)
    }
    const plain = Buffer.concat(parts)
    if (plain.length > STORED_BYTES_MAX) throw new RangeError('headers are too long')
    const stored = Buffer.alloc(5)
    stored.writeUInt16LE(plain.length, 1)
    stored.writeUInt16LE(plain.length ^ STORED_BYTES_MAX, 3)
    const prefix = this.#hasBegun ? [] : [PREFIX]
    this.#hasBegun = true
    return Buffer.concat([...prefix, stored, plain, FLUSH])
  }
}

function isZlib(block: Buffer): boolean {
  if (block.length < PREFIX.length || block.readUInt16BE(0) % 31 !== 0) return false
  const [method = 0, flags = 0] = block
  if ((method & 0x0f) !== 8) return false
  return (flags & HAS_DICTIONARY) !== 0 && block.readUInt32BE(2) === DICTIONARY_ID
}

function inflate(block: Buffer, dictionary: Buffer): Buffer {
  try {
    return inflateRawSync(block, {
      dictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: BLOCK_BYTES_MAX,
    })
  } catch (error) {
    throw new ProtocolError('a header block that cannot be read', { cause: error })
  }
}

function parse(plain: Buffer): HeaderList {
  let at = 0
  const number = (): number => {
    if (at + 4 > plain.length) throw new ProtocolError('a header block that ends too early')
    at += 4
    return plain.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const end = number() + at
    if (end > plain.length) throw new ProtocolError('a header block that ends too early')
    const value = plain.toString('utf8', at, end)
    at = end
    return value
  }
  const headers: Record<string, string> = Object.create(null)
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase()
    headers[name] = text()
  }
  return headers
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}
