import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { deliverFrames, messagesOf } from './frames.ts'

const TIME = '2026-11-29T15:04:05.123456789Z'

function frame(stream: 1 | 2, content: string): Buffer {
  const bytes = Buffer.from(content)
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([header, bytes])
}

/** As a socket may bring them: in pieces of any size. */
function inPieces(bytes: Buffer, size: number): Readable {
  const count = Math.ceil(bytes.length / size)
  return Readable.from(
    Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size)),
  )
}

async function read(source: Readable, hasTty: boolean): Promise<string[]> {
  const all: string[] = []
  for await (const { stream, time, bytes } of messagesOf(source, hasTty)) {
    all.push(`${time} ${stream} ${JSON.stringify(bytes.toString())}`)
  }
  return all
}

describe('what the engine sends', () => {
  test.each([1, 7, 1000])('is put together from pieces of %i bytes', async (size) => {
    const bytes = Buffer.concat([
      frame(1, `${TIME} one\n`),
      frame(2, `${TIME} two\n`),
      frame(1, `${TIME} \n`),
      frame(1, `${TIME} a part`),
    ])
    expect(await read(inPieces(bytes, size), false)).toEqual([
      `${TIME} stdout "one\\n"`,
      `${TIME} stderr "two\\n"`,
      `${TIME} stdout "\\n"`,
      `${TIME} stdout "a part"`,
    ])
  })

  test.each([1, 1000, 100_000])('of a terminal has no frames (pieces of %i)', async (size) => {
    const part = 'x'.repeat(16 * 1024)
    const bytes = Buffer.from(`${TIME} one\n${TIME} ${part}${TIME} end\n${TIME} last`)
    expect(await read(inPieces(bytes, size), true)).toEqual([
      `${TIME} stdout "one\\n"`,
      `${TIME} stdout "${part}"`,
      `${TIME} stdout "end\\n"`,
      `${TIME} stdout "last"`,
    ])
  })

  test('goes to whom it is for, and both hear the end', async () => {
    const to = { stdout: new PassThrough(), stderr: new PassThrough() }
    const source = inPieces(Buffer.concat([frame(1, 'out'), frame(2, 'err')]), 3)
    const [stdout, stderr] = await Promise.all([
      text(to.stdout),
      text(to.stderr),
      deliverFrames(source, to, false),
    ])
    expect([stdout, stderr]).toEqual(['out', 'err'])
  })

  test('waits for who reads it', async () => {
    const to = { stdout: new PassThrough({ highWaterMark: 10 }), stderr: new PassThrough() }
    let taken = 0
    async function* chunks(): AsyncGenerator<Buffer> {
      for (; taken < 1000; taken++) yield frame(1, 'x'.repeat(1000))
    }
    const done = deliverFrames(Readable.from(chunks(), { highWaterMark: 1 }), to, false)
    await new Promise(setImmediate)
    expect(taken).toBeLessThan(50)
    to.stdout.resume()
    await done
    expect(taken).toBe(1000)
  })
})
