// Exec and attach over a WebSocket: Kubernetes' channel protocol (v4 and v5). Binary messages whose
// first byte is the channel: 0 stdin, 1 stdout, 2 stderr, 3 the Status at the end, 4 resize, and in v5
// 255 to close one (`ff 00`: stdin has ended).

import { Readable, Writable } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import { createResizes, parseSize } from './streams.ts'
import type { ClientStreams, Wanted } from './streams.ts'

export const CHANNEL_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io']

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const ERROR = 3
const RESIZE = 4
const CLOSE = 255
const NORMAL = 1000

/** The streams of a client that speaks channels. */
export function channelStreams(client: WebSocket, wanted: Wanted): ClientStreams {
  // An error is followed by `close`.
  client.on('error', () => client.terminate())
  const stdin = readable(client)
  // Nobody reads what was not announced.
  if (!wanted.stdin) stdin.resume()
  const resizes = createResizes()
  client.on('message', (data: RawData) => {
    const bytes = bytesOf(data)
    if (bytes[0] === RESIZE) resizes.tell(parseSize(bytes.subarray(1).toString()))
  })
  return {
    stdin: wanted.stdin ? stdin : undefined,
    stdout: wanted.stdout ? writable(client, STDOUT) : undefined,
    stderr: wanted.stderr ? writable(client, STDERR) : undefined,
    finish(status) {
      // What the client still types is not waited for.
      stdin.destroy()
      client.resume()
      if (client.readyState !== client.OPEN) return
      client.send(Buffer.concat([Buffer.of(ERROR), Buffer.from(JSON.stringify(status))]))
      client.close(NORMAL)
    },
    onResize: (listener) => resizes.listen(listener),
    onClose: (listener) => client.once('close', listener),
  }
}

function readable(client: WebSocket): Readable {
  const stdin = new Readable({ read: () => client.resume() })
  stdin.on('error', () => undefined)
  let hasEnded = false
  client.on('message', (data: RawData) => {
    if (stdin.destroyed || hasEnded) return
    const bytes = bytesOf(data)
    const isStdin = bytes[0] === STDIN && bytes.length > 1
    if (isStdin && !stdin.push(bytes.subarray(1))) client.pause()
    if (bytes[0] !== CLOSE || bytes[1] !== STDIN) return
    hasEnded = true
    stdin.push(null)
  })
  client.on('close', () => stdin.destroy())
  return stdin
}

function writable(client: WebSocket, channel: number): Writable {
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      // Called back when the socket has taken it: that is how a slow client slows the command.
      client.send(Buffer.concat([Buffer.of(channel), chunk]), done)
    },
  })
  stream.on('error', () => undefined)
  client.on('close', () => stream.destroy())
  return stream
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
