// What runs in a pod of test/agent/network/world.ts: serves its name and what it saw of the client at
// some ports, and asks others when it is told to.

import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import { decode, encode } from 'dns-packet'

export type Command =
  | { do: 'tcp'; host: string; port: number; patience: number; from?: string | undefined }
  | { do: 'udp'; host: string; port: number; fromPort: number }
  | { do: 'http'; host: string; port: number }
  | { do: 'serve-dns'; address: string }
  | { do: 'dns'; type: string; name: string; server: string }

export interface Answer {
  text: string
}

const PORTS = [80, 8080, 8081, 10_250]
const PATIENCE_MS = 15_000
const name = process.argv[2] ?? ''

for (const port of PORTS) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(`${name} ${socket.remoteAddress ?? ''}`)
  })
  // In a VM's own network another program has the agent's port, or the DNS.
  server.on('error', () => undefined)
  server.listen(port, '0.0.0.0')
}

// For measurements: little else than the way there and back.
const http = createHttpServer((_request, response) => response.end('ok'))
http.on('error', () => undefined)
http.listen(8082, '0.0.0.0')

const udp = createSocket('udp4')
udp.on('message', (_message, from) => udp.send(`${name} ${from.address}`, from.port, from.address))
udp.on('error', () => undefined)
udp.bind(8080, () => process.send?.({}))

function askTcp({ host, port, patience, from }: Command & { do: 'tcp' }): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({
      host,
      port,
      timeout: patience,
      ...(from ? { localAddress: from } : {}),
    })
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('end', () => resolve(text))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('timeout', () => {
      socket.destroy()
      resolve('timeout')
    })
  })
}

function askUdp(host: string, port: number, fromPort: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const done = (text: string): void => {
      clearTimeout(timer)
      socket.close()
      resolve(text)
    }
    const timer = setTimeout(() => done('timeout'), PATIENCE_MS)
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message))
    socket.on('message', (message) => done(message.toString()))
    // Connected: only then the kernel tells of a refusal.
    socket.bind(fromPort, () => socket.connect(port, host, () => socket.send('?')))
  })
}

function serveDns(address: string): Promise<string> {
  const server = createSocket('udp4')
  server.on('message', (query, from) => {
    const { id = 0, questions = [] } = decode(query)
    const answers = questions.map(({ name: asked }) => ({
      name: asked,
      type: 'A' as const,
      ttl: 60,
      data: address,
    }))
    server.send(encode({ type: 'response', id, questions, answers }), from.port, from.address)
  })
  return new Promise((resolve) => server.bind(53, () => resolve('')))
}

async function askHttp(host: string, port: number): Promise<string> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const response = await fetch(`http://${host}:${port}/`, { signal })
    return JSON.stringify({ status: response.status, body: await response.json() })
  } catch (error) {
    return JSON.stringify(String(error))
  }
}

async function askDns(type: string, asked: string, server: string): Promise<string> {
  const resolver = new Resolver({ timeout: PATIENCE_MS, tries: 1 })
  resolver.setServers([server])
  try {
    const found =
      type === 'PTR' ? await resolver.reverse(asked) : await resolver.resolve(asked, type as 'A')
    return JSON.stringify(found)
  } catch (error) {
    return JSON.stringify((error as NodeJS.ErrnoException).code)
  }
}

function obey(command: Command): Promise<string> {
  if (command.do === 'tcp') return askTcp(command)
  if (command.do === 'udp') return askUdp(command.host, command.port, command.fromPort)
  if (command.do === 'http') return askHttp(command.host, command.port)
  if (command.do === 'serve-dns') return serveDns(command.address)
  return askDns(command.type, command.name, command.server)
}

process.on('message', ({ id, command }: { id: number; command: Command }) => {
  const answering = obey(command)
  void answering.then((text) => process.send?.({ id, answer: { text } }))
})
process.on('disconnect', () => process.exit(0))
