// WS /exec: a command in a running container, over Kubernetes' channel protocol (v4 and v5): binary
// messages whose first byte is the channel, 0 stdin, 1 stdout, 2 stderr, 3 the Status at the end,
// 4 resize, and in v5 255 to close one (`ff 00`: stdin has ended).

import type { RawData, WebSocket } from 'ws'
import type { PodWorker } from '../pods/worker.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const ERROR = 3
const CLOSE = 255
/** Above this, reading from the command waits until the client has caught up. */
const BUFFERED_MAX = 1024 * 1024
const DRAIN_MS = 10

/** Runs the command of the query and ends the socket when it has ended. */
export function serveExec(
  client: WebSocket,
  worker: PodWorker,
  container: string,
  query: URLSearchParams,
): void {
  const isOn = (...names: string[]): boolean =>
    names.some((name) => ['true', '1'].includes(query.get(name) ?? ''))
  if (isOn('tty')) {
    const why = 'a terminal (-t) is not available in this container runtime; run it without -t'
    finish(client, failure('InternalError', why))
    return
  }
  const exec = worker.exec(container, query.getAll('command'))
  if (!exec) {
    finish(client, failure('InternalError', `container ${container} is not running`))
    return
  }
  if (!isOn('stdin', 'input')) exec.stdin.end()
  client.on('message', (data: RawData) => {
    const bytes = bytesOf(data)
    if (bytes[0] === STDIN && bytes.length > 1) exec.stdin.write(bytes.subarray(1))
    if (bytes[0] === CLOSE && bytes[1] === STDIN) exec.stdin.end()
  })
  client.on('close', () => exec.kill())
  client.on('error', () => exec.kill())
  send(client, STDOUT, exec.stdout, isOn('stdout', 'output'))
  send(client, STDERR, exec.stderr, isOn('stderr', 'error'))
  void exec.ended.then((code) => finish(client, code === 0 ? SUCCESS : nonZero(code)))
}

function send(
  client: WebSocket,
  channel: number,
  stream: NodeJS.ReadableStream,
  isWanted: boolean,
): void {
  stream.on('data', (chunk: Buffer) => {
    if (!isWanted || client.readyState !== client.OPEN) return
    client.send(Buffer.concat([Buffer.of(channel), chunk]))
    if (client.bufferedAmount < BUFFERED_MAX) return
    stream.pause()
    const resume = (): void => {
      if (client.bufferedAmount < BUFFERED_MAX || client.readyState !== client.OPEN) stream.resume()
      else setTimeout(resume, DRAIN_MS)
    }
    setTimeout(resume, DRAIN_MS)
  })
}

const SUCCESS = { metadata: {}, status: 'Success' }

function nonZero(code: number): unknown {
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  }
}

function failure(reason: string, message: string): unknown {
  return { metadata: {}, status: 'Failure', reason, message }
}

function finish(client: WebSocket, status: unknown): void {
  if (client.readyState !== client.OPEN) return
  client.send(Buffer.concat([Buffer.of(ERROR), Buffer.from(JSON.stringify(status))]))
  client.close(1000)
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
