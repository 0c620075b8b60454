// /portForward: connections to a pod's ports, many at once over one SPDY connection. Of each the client
// opens two streams with the same `requestid`: `data` carries its bytes, `error` says why it failed.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Dial } from './dial.ts'
import { SpdyConnection } from './spdy/connection.ts'
import type { SpdyStream } from './spdy/connection.ts'

export const FORWARD_PROTOCOL = 'portforward.k8s.io'

export interface ForwardTarget {
  pod: string
  uid: string
  dial: Dial
}

interface Pair {
  error?: SpdyStream
  data?: SpdyStream
}

const PAIR_MS = 30_000

/** Serves until the client hangs up. */
export function servePortForward(carrier: Duplex, target: ForwardTarget): void {
  const pairs = new Map<string, Pair>()
  const accept = (stream: SpdyStream): void => {
    const { streamtype, port: text = '', requestid } = stream.headers
    const port = Number(text)
    const isValid = /^\d+$/.test(text) && port > 0 && port < 65_536
    if (!requestid || !isValid || (streamtype !== 'error' && streamtype !== 'data')) {
      stream.destroy()
      return
    }
    const pair: Pair = pairs.get(requestid) ?? {}
    if (pair[streamtype]) {
      stream.destroy()
      return
    }
    pair[streamtype] = stream
    const { error, data } = pair
    if (error && data) {
      pairs.delete(requestid)
      void forward({ error, data }, port, target)
      return
    }
    pairs.set(requestid, pair)
    const timer = setTimeout(() => {
      if (pairs.get(requestid) === pair) pairs.delete(requestid)
      if (!pair.error || !pair.data) stream.destroy()
    }, PAIR_MS)
    stream.once('close', () => clearTimeout(timer))
  }
  new SpdyConnection(carrier, accept).onClose(() => {
    pairs.clear()
    target.dial.close()
  })
}

async function forward(
  { error, data }: Required<Pair>,
  port: number,
  target: ForwardTarget,
): Promise<void> {
  error.resume()
  let upstream: Socket
  try {
    upstream = await target.dial.open(port)
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason)
    error.end(`error forwarding port ${port} to pod ${target.pod}, uid ${target.uid}: ${why}`)
    data.resume()
    data.end()
    return
  }
  // Each direction ends by itself; one that fails takes the other with it.
  const up = pipeline(data, upstream).catch(() => upstream.destroy())
  const down = pipeline(upstream, data).catch(() => data.destroy())
  await down
  // Only now: the client takes its end for the end of the connection.
  error.end()
  await up
}
