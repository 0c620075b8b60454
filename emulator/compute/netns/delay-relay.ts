// A thread that holds packets back: for kernels that cannot (no netem). Packets come wrapped in VXLAN
// (RFC 7348) with one network identifier, and go back to their sender with the other, later.

import { createSocket } from 'node:dgram'
import { setTimeout as later } from 'node:timers'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread is started with. */
export interface DelayOrder {
  /** The address to listen on; the port is said when it is known. */
  host: string
  ms: number
  /** VXLAN network identifiers, below 256. */
  away: number
  back: number
}

/** Where the last byte of the network identifier is. */
const IDENTIFIER_AT = 6
const HEADER_BYTES = 8
/** The kernel's netem holds 1,000 packets; what is above is lost. */
const HELD_MAX = 10_000

const { host, ms, away, back }: DelayOrder = workerData
const socket = createSocket({ type: 'udp4', recvBufferSize: 2 ** 22, sendBufferSize: 2 ** 22 })
let held = 0

socket.on('message', (packet, { address }) => {
  const isOurs = packet.length > HEADER_BYTES && packet[IDENTIFIER_AT] === away
  if (!isOurs || held >= HELD_MAX) return
  packet[IDENTIFIER_AT] = back
  held++
  later(() => {
    held--
    socket.send(packet, socket.address().port, address)
  }, ms)
})
socket.on('error', (error) => {
  throw error
})
socket.bind({ address: host, port: 0 }, () => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
  parentPort?.postMessage(socket.address().port)
})
