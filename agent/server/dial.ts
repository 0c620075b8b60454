// How port-forward reaches a port of a pod: in the pod's own network, as Kubernetes does, so that also
// what listens on the pod's 127.0.0.1 only is reached; where pods have no network of their own, at the
// address that leads there.

import { once } from 'node:events'
import { spawn, type ChildProcess } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import type { Address } from '../network/network.ts'

/** Connections to ports of one pod, for one client. */
export interface Dial {
  /** Rejects with what people are told. */
  open(port: number): Promise<Socket>
  /** The client has hung up. Connections that are open stay. */
  close(): void
}

const CONNECT_MS = 10_000

/**
 * The program that connects: Node.js cannot enter a network, and a socket belongs to the one that it was made
 * in, whoever has it later. It tries as containerd does: IPv4, then IPv6.
 */
const PROGRAM = `
const { connect } = require('node:net')
const CONNECT_MS = ${CONNECT_MS}
const dial = (host, port, done) => {
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true })
  // What it is sent is for who gets it.
  socket.pause()
  socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('i/o timeout')))
  socket.once('error', (error) => done(error.code === 'ECONNREFUSED' ? 'connect: connection refused' : error.message))
  socket.once('connect', () => { socket.setTimeout(0); done(undefined, socket) })
}
process.on('message', ({ id, port }) => {
  dial('127.0.0.1', port, (four, socket) => {
    if (socket) return process.send({ id }, socket)
    dial('::1', port, (six, socket) => {
      if (socket) return process.send({ id }, socket)
      process.send({ id, why: 'IPv4: dial tcp4 127.0.0.1:' + port + ': ' + four + ' IPv6 dial tcp6: [::1]:' + port + ': ' + six })
    })
  })
})
process.on('disconnect', () => process.exit(0))
`

interface Answer {
  id: number
  why?: string
}

/** At an address that the network knows. */
export function dialAt(locate: (port: number) => Address | undefined): Dial {
  return {
    async open(port) {
      const to = locate(port)
      if (!to) throw new Error(`no container of the pod declares port ${port}`)
      const socket = connect({ ...to, noDelay: true, allowHalfOpen: true })
      try {
        await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) })
        return socket
      } catch (error) {
        socket.destroy()
        throw isRefused(error) ? new Error(`connect: connection refused`, { cause: error }) : error
      }
    },
    close: () => undefined,
  }
}

/** At localhost, in the network of this process. */
export function dialInNetwork(pid: number): Dial {
  let child: ChildProcess | undefined
  let count = 0
  const waiting = new Map<number, (answer: Answer, socket?: Socket) => void>()
  const start = (): ChildProcess => {
    const enter = [`--net=/proc/${pid}/ns/net`, '--', process.execPath, '-e', PROGRAM]
    const started = spawn('nsenter', enter, {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: {},
    })
    const ended = (): void => {
      if (child === started) child = undefined
      const why = "the pod's network cannot be entered"
      for (const [id, settle] of waiting) settle({ id, why })
    }
    started.on('message', (answer: Answer, handle) => {
      waiting.get(answer.id)?.(answer, handle as Socket | undefined)
    })
    started.on('error', ended)
    started.on('exit', ended)
    return started
  }
  return {
    open(port) {
      const id = count++
      const { promise, resolve, reject } = Promise.withResolvers<Socket>()
      const settle = ({ why }: Answer, socket?: Socket): void => {
        waiting.delete(id)
        if (socket) resolve(halfOpen(socket))
        else reject(new Error(`failed to connect to localhost:${port} inside namespace: ${why}`))
      }
      waiting.set(id, settle)
      child ??= start()
      // One that ends says so to all who wait.
      child.send({ id, port }, () => undefined)
      return promise
    },
    close() {
      if (child?.connected) child.disconnect()
    },
  }
}

/** Each direction ends by itself: that does not travel with a socket. */
function halfOpen(socket: Socket): Socket {
  socket.allowHalfOpen = true
  return socket
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
}
