// WS /portForward: one WebSocket is one TCP connection to a port of a pod. Binary messages are its
// bytes, nothing else; the protocol that kubectl speaks is the api function's business.

import { connect } from 'node:net'
import { createWebSocketStream } from 'ws'
import type { WebSocket } from 'ws'
import type { Address } from '../network/network.ts'

/** Internal error, with the reason as text (RFC 6455). */
const FAILED = 1011

/** Joins the socket to `to`; closes it with a reason when nothing listens there. */
export function servePortForward(client: WebSocket, to: Address | undefined, port: number): void {
  if (!to) {
    client.close(FAILED, `no container of the pod declares port ${port}`)
    return
  }
  const upstream = connect({ ...to, noDelay: true })
  upstream.once('error', () => client.close(FAILED, `connection to port ${port} refused`))
  upstream.once('connect', () => {
    const stream = createWebSocketStream(client)
    stream.on('error', () => upstream.destroy())
    upstream.on('error', () => stream.destroy())
    stream.on('close', () => upstream.destroy())
    stream.pipe(upstream)
    upstream.pipe(stream)
  })
}
