import { constants, createDeflate, createInflate, deflateSync, type Deflate } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { DICTIONARY, DICTIONARY_ID } from './dictionary.ts'
import { HeaderReader, HeaderWriter, ProtocolError } from './header-block.ts'

/** What any other SPDY program does: one zlib stream, flushed after each block. */
function compress(deflate: Deflate, plain: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const take = (chunk: Buffer): void => void chunks.push(chunk)
    deflate.on('data', take)
    deflate.write(plain)
    deflate.flush(constants.Z_SYNC_FLUSH, () => {
      setImmediate(() => {
        deflate.off('data', take)
        resolve(Buffer.concat(chunks))
      })
    })
  })
}

function plainOf(headers: Record<string, string>): Buffer {
  const entries = Object.entries(headers)
  const text = (value: string): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(value))
    return Buffer.concat([length, Buffer.from(value)])
  }
  const count = Buffer.alloc(4)
  count.writeUInt32BE(entries.length)
  return Buffer.concat([count, ...entries.flat().map(text)])
}

test('the dictionary is the one that its checksum names', () => {
  expect(DICTIONARY).toHaveLength(1423)
  // A zlib stream names its dictionary by the Adler-32 of it.
  const stream = deflateSync('x', { dictionary: DICTIONARY })
  expect(stream.readUInt32BE(2)).toBe(DICTIONARY_ID)
})

describe('reading', () => {
  test('block after block of one compressed stream', async () => {
    const deflate = createDeflate({ dictionary: DICTIONARY })
    const reader = new HeaderReader()
    for (let id = 0; id < 300; id++) {
      const headers = {
        streamtype: id % 2 ? 'data' : 'error',
        port: '8080',
        requestid: String(id >> 1),
        // More than the window in the course of time.
        noise: String(Math.sin(id)).repeat(20),
      }
      expect({ ...reader.read(await compress(deflate, plainOf(headers))) }).toEqual(headers)
    }
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no zlib', Buffer.from('hello there')],
    ['no dictionary', deflateSync(plainOf({ a: 'b' }))],
    ['broken data', Buffer.from('78bbe3c6a7c2ffffffff', 'hex')],
  ])('%s is a protocol error', (_, block) => {
    expect(() => new HeaderReader().read(block)).toThrow(ProtocolError)
  })

  test('lengths that lie and blocks that explode are protocol errors', async () => {
    const lie = plainOf({ a: 'b' })
    lie.writeUInt32BE(0xffffffff, 4)
    const bomb = plainOf({ a: 'b'.repeat(10_000_000) })
    for (const plain of [lie, lie.subarray(0, 3), bomb]) {
      const block = await compress(createDeflate({ dictionary: DICTIONARY }), plain)
      expect(() => new HeaderReader().read(block)).toThrow(ProtocolError)
    }
  })
})

test('what is written is read by any zlib', async () => {
  const writer = new HeaderWriter()
  const inflate = createInflate({ dictionary: DICTIONARY })
  const chunks: Buffer[] = []
  inflate.on('data', (chunk: Buffer) => chunks.push(chunk))
  const all: Record<string, string>[] = [{}, { streamtype: 'data', port: '80' }, { ü: 'ö' }]
  for (const headers of all) {
    const block = writer.write(headers)
    // As a sync flush ends: readers in Go wait for it.
    expect(block.subarray(-4).toString('hex')).toBe('0000ffff')
    inflate.write(block)
  }
  await new Promise<void>((resolve) => inflate.flush(() => setImmediate(resolve)))
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat(all.map(plainOf)))
})
