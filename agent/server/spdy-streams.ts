// Exec and attach over SPDY/3.1, for clients that know no WebSockets (kubectl up to 1.29): one SPDY
// stream each for stdin, stdout, stderr, errors and resizing, named by the header `streamtype`.

import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import { SpdyConnection } from './spdy/connection.ts'
import type { SpdyStream } from './spdy/connection.ts'
import { createResizes, parseSize } from './streams.ts'
import type { ClientStreams, Wanted } from './streams.ts'

/** The one whose end is a Status with the exit code. */
export const STREAM_PROTOCOL = 'v4.channel.k8s.io'

const STREAMS_MS = 30_000

/** Waits for all that the client has announced. Rejects when it does not open them, or has gone. */
export async function spdyStreams(socket: Duplex, wanted: Wanted): Promise<ClientStreams> {
  const names = ['error', ...namesOf(wanted)]
  const streams = new Map<string, SpdyStream>()
  const { promise: complete, resolve, reject } = Promise.withResolvers<void>()
  const connection = new SpdyConnection(socket, (stream) => {
    const type = stream.headers['streamtype'] ?? ''
    if (!names.includes(type) || streams.has(type)) stream.destroy()
    else streams.set(type, stream)
    if (streams.size === names.length) resolve()
  })
  connection.onClose(() => reject(new Error('the client has gone')))
  const timer = setTimeout(() => {
    connection.end()
    reject(new Error('timed out waiting for client to create streams'))
  }, STREAMS_MS)
  await complete.finally(() => clearTimeout(timer))
  for (const name of ['error', 'stdout', 'stderr']) streams.get(name)?.resume()
  const resizes = createResizes()
  // Each change is one line of JSON.
  const sizes = streams.get('resize')
  if (sizes) {
    createInterface({ input: sizes }).on('line', (line) => resizes.tell(parseSize(line)))
  }
  return {
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    finish(status) {
      const error = streams.get('error')
      if (!error || error.destroyed) return
      error.end(JSON.stringify(status))
      for (const name of ['stdout', 'stderr']) streams.get(name)?.end()
      // What the client still types is not waited for.
      streams.get('stdin')?.unpipe().resume()
      void finished(error, { readable: false })
        .catch(() => undefined)
        .then(() => connection.end())
    },
    onResize: (listener) => resizes.listen(listener),
    onClose: (listener) => connection.onClose(listener),
  }
}

function namesOf({ stdin, stdout, stderr, tty }: Wanted): string[] {
  return [
    ...(stdin ? ['stdin'] : []),
    ...(stdout ? ['stdout'] : []),
    // A terminal has one output.
    ...(stderr && !tty ? ['stderr'] : []),
    ...(tty ? ['resize'] : []),
  ]
}
