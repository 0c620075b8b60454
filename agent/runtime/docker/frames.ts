// What the engine sends of a container's output. Without a terminal each piece is framed: a byte for
// the stream, three of nothing, four of length. With one it is the plain bytes.
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach

import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'

export interface Frame {
  stream: 'stdout' | 'stderr'
  bytes: Buffer
}

const HEADER_BYTES = 8
/** The engine's frames are at most 32 KiB of output with a stamp; more is not one of its frames. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024

/** The frames of a stream, as they come; reads no faster than they are taken. */
export async function* framesOf(source: Readable): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of source as AsyncIterable<Buffer>) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(4)
      if (length > FRAME_BYTES_MAX) throw new Error(`a frame of ${length} bytes`)
      if (rest.length < HEADER_BYTES + length) break
      const stream = rest[0] === 2 ? 'stderr' : 'stdout'
      yield { stream, bytes: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) }
      rest = rest.subarray(HEADER_BYTES + length)
    }
  }
}

/** Passes the output on, waiting for whoever reads it; ends both at its end. Never rejects. */
export async function deliverFrames(
  source: Readable,
  to: { stdout: Writable; stderr: Writable },
  hasTty: boolean,
): Promise<void> {
  try {
    for await (const { stream, bytes } of hasTty ? plain(source) : framesOf(source)) {
      const out = to[stream]
      if (out.destroyed) continue
      if (!out.write(bytes)) await drained(out)
    }
  } catch {
    // The connection broke: what came is all there is.
  }
  to.stdout.end()
  to.stderr.end()
}

async function drained(out: Writable): Promise<void> {
  const settled = new AbortController()
  const { signal } = settled
  const ends = ['drain', 'close'].map((name) => once(out, name, { signal }).catch(() => undefined))
  await Promise.race(ends)
  // The other one is not waited for any more.
  settled.abort()
}

async function* plain(source: Readable): AsyncGenerator<Frame> {
  for await (const bytes of source as AsyncIterable<Buffer>) yield { stream: 'stdout', bytes }
}

/** One line of a log, or a part of a long one, with the time at which the engine has kept it. */
export interface LogMessage extends Frame {
  time: string
}

/** `2026-11-29T15:04:05.123456789Z`, and the space after it. */
const STAMP_BYTES = 30
/** Longer lines come in parts of this size. */
const PART_BYTES = 16 * 1024
const NEWLINE = 10

/** The messages of a log that was asked for with time stamps. */
export async function* messagesOf(source: Readable, hasTty: boolean): AsyncGenerator<LogMessage> {
  if (hasTty) {
    yield* terminalMessages(source)
    return
  }
  for await (const frame of framesOf(source)) {
    const message = messageOf(frame)
    if (message) yield message
  }
}

async function* terminalMessages(source: Readable): AsyncGenerator<LogMessage> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const { bytes } of plain(source)) {
    rest = Buffer.concat([rest, bytes])
    for (let end = endOfMessage(rest); end > 0; end = endOfMessage(rest)) {
      const message = messageOf({ stream: 'stdout', bytes: rest.subarray(0, end) })
      if (message) yield message
      rest = rest.subarray(end)
    }
  }
  const last = messageOf({ stream: 'stdout', bytes: rest })
  if (last) yield last
}

/** Where the first message ends; 0: not yet. */
function endOfMessage(bytes: Buffer): number {
  const longest = STAMP_BYTES + 1 + PART_BYTES
  const newline = bytes.subarray(0, longest + 1).indexOf(NEWLINE)
  if (newline >= 0) return newline + 1
  // Without a newline after so many bytes it is a part, and another stamp follows.
  return bytes.length > longest ? longest : 0
}

function messageOf({ stream, bytes }: Frame): LogMessage | undefined {
  if (bytes.length <= STAMP_BYTES) return undefined
  const time = bytes.subarray(0, STAMP_BYTES).toString('latin1')
  return { stream, time, bytes: bytes.subarray(STAMP_BYTES + 1) }
}
