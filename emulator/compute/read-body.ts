// Bounded reading of request bodies. Hono's own body-limit makes a new Request of the incoming one,
// which the Node server's light-weight requests do not allow.

/** The body as text, or undefined when it is longer than `max` bytes. */
export async function readBody(request: Request, max: number): Promise<string | undefined> {
  if (!request.body) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.byteLength
    if (size > max) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
