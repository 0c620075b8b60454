// A request's body as bytes, bounded.

import type { IncomingMessage } from 'node:http'

/** Rejects when it is longer than `most` bytes or breaks off. */
export async function readBody(request: IncomingMessage, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > most) throw new Error(`the body is longer than ${most} bytes`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}
