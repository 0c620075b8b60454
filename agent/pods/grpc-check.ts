// The gRPC health protocol, as far as a probe needs it: one call of grpc.health.v1.Health/Check over
// HTTP/2 without TLS. https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import { connect, constants } from 'node:http2'

/** A status of the service as the protocol numbers it; anything but SERVING is a failure. */
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
const SERVING = 1
const ANSWER_BYTES_MAX = 64 * 1024
/** The server does not know the service that was asked for. */
const GRPC_NOT_FOUND = 5
/** The server has no health service. */
const GRPC_UNIMPLEMENTED = 12

/** Resolves with the status, or rejects with why there is none. */
export function grpcHealth(
  at: { host: string; port: number },
  service: string,
  timeoutMs: number,
): Promise<{ isServing: boolean; status: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${at.host}:${at.port}`)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      session.destroy()
      reject(error)
    }
    const timer = setTimeout(() => {
      fail(
        new Error(
          `timeout: failed to connect service "${at.host}:${at.port}" within ${timeoutMs}ms`,
        ),
      )
    }, timeoutMs)
    session.on('error', fail)
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      'user-agent': 'kube-probe/1.33',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let size = 0
    let code: number | undefined
    const readCode = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] !== undefined) code = Number(headers['grpc-status'])
    }
    stream.on('response', readCode)
    stream.on('trailers', readCode)
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > ANSWER_BYTES_MAX) fail(new Error('the health service answers too much'))
      else chunks.push(chunk)
    })
    // What is wrong with the connection says more than what it does to its stream.
    stream.on('error', (error) => setImmediate(() => fail(error)))
    stream.on('close', () => {
      if (stream.errored) return
      clearTimeout(timer)
      session.close()
      const status = readStatus(Buffer.concat(chunks))
      if (code === 0)
        resolve({ isServing: status === SERVING, status: STATUSES[status] ?? 'UNKNOWN' })
      else reject(new Error(refusal(code, service)))
    })
    stream.end(request(service))
  })
}

function refusal(code: number | undefined, service: string): string {
  if (code === GRPC_UNIMPLEMENTED) {
    return 'this server does not implement the grpc health protocol (grpc.health.v1.Health)'
  }
  if (code === GRPC_NOT_FOUND) return `rpc error: code = NotFound desc = unknown service ${service}`
  return `rpc error: code = ${code ?? 'Unknown'}`
}

/** HealthCheckRequest{service = 1}, framed: not compressed, its length, itself. */
function request(service: string): Buffer {
  const name = Buffer.from(service)
  const message =
    name.length > 0 ? Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]) : name
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** HealthCheckResponse{status = 1}; 0 when it is not there. */
function readStatus(frame: Buffer): number {
  const message = frame.subarray(5)
  return message[0] === 0x08 ? (message[1] ?? 0) : 0
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}
