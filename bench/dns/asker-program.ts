// Asks a name server the same question fifty times a second, and tells each answer: started by bench/dns.ts in
// the network of a VM, with the server, the name and the address that is right.

import { createSocket } from 'node:dgram'
import { decode, encode } from 'dns-packet'

const EVERY_MS = 20
const DNS_PORT = 53
const IDS = 65_536
/** RFC 1035: please ask others, too, as resolvers of programs do. */
const RECURSION_DESIRED = 1 << 8

export interface Told {
  /** Milliseconds since 1970. */
  at: number
  isRight: boolean
}

const [server = '', name = '', address = ''] = process.argv.slice(2)
const socket = createSocket('udp4')
let id = 0

socket.on('error', () => undefined)
socket.on('message', (message) => {
  const { answers = [] } = decode(message)
  const isRight = answers.some((answer) => answer.type === 'A' && answer.data === address)
  process.send?.({ at: Date.now(), isRight } satisfies Told)
})
process.on('disconnect', () => process.exit(0))

setInterval(() => {
  id = (id + 1) % IDS
  const questions = [{ name, type: 'A' as const }]
  const query = encode({ type: 'query', id, flags: RECURSION_DESIRED, questions })
  socket.send(query, DNS_PORT, server, () => undefined)
}, EVERY_MS)
