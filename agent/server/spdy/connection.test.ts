import { duplexPair, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, test } from 'vitest'
import { SpdyConnection, type SpdyStream } from './connection.ts'
import { HeaderWriter } from './header-block.ts'

const SYN_STREAM = 1
const SYN_REPLY = 2
const RST_STREAM = 3
const PING = 6
const GOAWAY = 7
const FIN = 1

/** What a client sees of a frame: control frames by their type, data by its stream. */
interface Seen {
  type: number | 'data'
  id: number
  flags: number
  body: string
}

let client: Duplex
let streams: SpdyStream[]
let seen: Seen[]
let headers: HeaderWriter
let isClosed: boolean

beforeEach(() => {
  const [near, far] = duplexPair()
  client = near
  streams = []
  seen = []
  headers = new HeaderWriter()
  isClosed = false
  const connection = new SpdyConnection(far, (stream) => {
    if (stream.headers['streamtype'] === 'unwanted') stream.destroy()
    else streams.push(stream)
  })
  connection.onClose(() => (isClosed = true))
  let rest = Buffer.alloc(0)
  client.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 8) {
      const length = rest.readUInt32BE(4) & 0xffffff
      if (rest.length < 8 + length) break
      const first = rest.readUInt32BE(0)
      const body = rest.subarray(8, 8 + length)
      const isControl = first >>> 31 === 1
      seen.push({
        type: isControl ? first & 0xffff : 'data',
        id: isControl ? body.readUInt32BE(0) : first,
        flags: rest[4] ?? 0,
        body: isControl ? body.toString('hex', 4) : body.toString(),
      })
      rest = rest.subarray(8 + length)
    }
  })
})

function control(type: number, flags: number, ...parts: (number | Buffer)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => {
      if (typeof part !== 'number') return part
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(part)
      return bytes
    }),
  )
  const head = Buffer.alloc(8)
  head.writeUInt32BE(0x80030000 + type)
  head.writeUInt32BE(flags * 2 ** 24 + body.length, 4)
  return Buffer.concat([head, body])
}

function open(id: number, streamtype = 'data', flags = 0): Buffer {
  const block = headers.write({ StreamType: streamtype, requestid: String(id) })
  return control(SYN_STREAM, flags, id, 0, Buffer.from([0, 0]), block)
}

function data(id: number, content: string | Buffer, flags = 0): Buffer {
  const bytes = Buffer.from(content)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(id)
  head.writeUInt32BE(flags * 2 ** 24 + bytes.length, 4)
  return Buffer.concat([head, bytes])
}

const seenOf = (type: Seen['type']) => () => seen.filter((each) => each.type === type)

describe('streams', () => {
  test('are opened, answered, and end each direction by itself', async () => {
    client.write(open(1))
    await expect.poll(() => streams.length).toBe(1)
    expect(streams[0]?.headers).toMatchObject({ streamtype: 'data', requestid: '1' })
    client.write(Buffer.concat([data(1, 'to '), data(1, 'there', FIN)]))
    expect(await text(streams[0]!)).toBe('to there')
    streams[0]?.write('and ')
    streams[0]?.end('back')
    await expect
      .poll(seenOf('data'))
      .toMatchObject([{ body: 'and ' }, { body: 'back' }, { body: '', flags: FIN }])
    expect(seen[0]).toMatchObject({ type: SYN_REPLY, id: 1 })
    expect(seenOf(RST_STREAM)()).toEqual([])
  })

  test('are the same when every byte comes alone', async () => {
    const all = Buffer.concat([open(1), data(1, 'abc'), open(3), data(3, ''), data(3, 'x', FIN)])
    for (const byte of all) client.write(Buffer.of(byte))
    await expect.poll(() => streams.length).toBe(2)
    expect(await text(streams[1]!)).toBe('x')
    expect(String(streams[0]?.read())).toBe('abc')
  })

  test('opened with FIN are at their end at once', async () => {
    client.write(open(1, 'data', FIN))
    await expect.poll(() => streams.length).toBe(1)
    expect(await text(streams[0]!)).toBe('')
  })

  test('destroyed are reset, as are those that nobody wants', async () => {
    client.write(open(1))
    client.write(open(3, 'unwanted'))
    await expect.poll(() => streams.length).toBe(1)
    streams[0]?.destroy()
    await expect.poll(seenOf(RST_STREAM)).toMatchObject([{ id: 3 }, { id: 1 }])
    client.write(data(1, 'late'))
    client.write(control(PING, 0, 7))
    await expect.poll(seenOf(PING)).toMatchObject([{ id: 7 }])
    expect(isClosed).toBe(false)
  })

  test('reset by the client are closed', async () => {
    client.write(open(1))
    await expect.poll(() => streams.length).toBe(1)
    client.write(control(RST_STREAM, 0, 1, 5))
    await expect.poll(() => streams[0]?.destroyed).toBe(true)
    expect(seenOf(RST_STREAM)()).toEqual([])
  })

  test('end with the connection', async () => {
    client.write(open(1))
    await expect.poll(() => streams.length).toBe(1)
    client.end()
    await expect.poll(() => [streams[0]?.destroyed, isClosed]).toEqual([true, true])
  })

  test('whose reader is behind stop the connection, and no more is kept', async () => {
    client.write(open(1))
    await expect.poll(() => streams.length).toBe(1)
    const piece = data(1, Buffer.alloc(64 * 1024))
    let isBlocked = false
    for (let count = 0; count < 100 && !isBlocked; count++) {
      isBlocked = !client.write(piece)
      if (isBlocked) {
        const drained = new Promise((resolve) => client.once('drain', () => resolve(true)))
        const late = new Promise((resolve) => setTimeout(() => resolve(false), 200))
        isBlocked = !(await Promise.race([drained, late]))
      }
    }
    expect(isBlocked).toBe(true)
    expect(streams[0]?.readableLength).toBeLessThan(512 * 1024)
    streams[0]?.resume()
    await expect.poll(() => client.writableNeedDrain).toBe(false)
  })

  test('beyond the most that there may be are refused', async () => {
    for (let id = 1; id <= 4003; id += 2) client.write(open(id))
    await expect.poll(seenOf(RST_STREAM)).toMatchObject([{ id: 4001 }, { id: 4003 }])
    expect(streams).toHaveLength(2000)
  })
})

test.each<[string, () => Buffer]>([
  ['another protocol', () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['HTTP/2', () => Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0])],
  ['an even stream', () => open(2)],
  ['a stream twice', () => Buffer.concat([open(1), open(1)])],
  ['a control frame without end', () => Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])],
  ['a control frame too short', () => control(SYN_STREAM, 0, 1)],
  ['headers that are none', () => control(SYN_STREAM, 0, 1, 0, Buffer.from('abcdefghijkl'))],
])('%s ends the connection', async (what, bytes) => {
  client.write(bytes())
  // Plain text looks like data of a stream that nobody has opened.
  if (what === 'another protocol') client.end()
  else await expect.poll(seenOf(GOAWAY)).toHaveLength(1)
  await expect.poll(() => isClosed).toBe(true)
})
