// The VPC's name server, which VMs find at 169.254.169.254: VMs by their internal names, the metadata
// server, and everything else as this machine finds it.
// https://cloud.google.com/compute/docs/internal-dns

import { createSocket, type Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import * as packet from 'dns-packet'
import type { Answer, Packet, Question } from 'dns-packet'

export interface NameServerOptions {
  host: string
  port: number
  project: string
  /** The address of a VM that runs in a zone. */
  find(name: string, zone: string): string | undefined
}

const METADATA = ['metadata.google.internal', '169.254.169.254'] as const
const TTL_SECONDS = 30
const FORWARDED_MS = 3000
const AUTHORITATIVE = 1 << 10
const NAME_ERROR = 3
const SERVER_FAILURE = 2

export async function startNameServer(options: NameServerOptions): Promise<{ close(): void }> {
  const socket = createSocket('udp4')
  const resolver = new Resolver({ timeout: FORWARDED_MS, tries: 1 })
  socket.on('message', (message, from) => {
    const send = (reply: Buffer | undefined): void => {
      if (reply) socket.send(reply, from.port, from.address)
    }
    // Not a question that can be read: nobody waits for an answer to it.
    answer(options, resolver, message).then(send, () => undefined)
  })
  await bound(socket, options)
  socket.unref()
  return { close: () => socket.close() }
}

function bound(socket: Socket, { host, port }: NameServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address: host, port }, () => {
      socket.off('error', reject)
      // Later ones are a VM that went while it was answered.
      socket.on('error', () => undefined)
      resolve()
    })
  })
}

async function answer(
  options: NameServerOptions,
  resolver: Resolver,
  message: Buffer,
): Promise<Buffer | undefined> {
  const query = packet.decode(message)
  const [question] = query.questions ?? []
  if (!question) return undefined
  const name = question.name.toLowerCase()
  const own = ownAddress(options, name)
  const isOurs = own !== undefined || isInternal(options, name)
  const found = isOurs
    ? {
        answers: question.type === 'A' && own ? [addressRecord(question, own)] : [],
        code: own ? 0 : NAME_ERROR,
      }
    : await forwarded(resolver, question)
  const reply: Packet = {
    type: 'response',
    id: query.id ?? 0,
    flags:
      packet.RECURSION_DESIRED |
      packet.RECURSION_AVAILABLE |
      (isOurs ? AUTHORITATIVE : 0) |
      found.code,
    questions: [question],
    answers: found.answers,
  }
  return packet.encode(reply)
}

function isInternal({ project }: NameServerOptions, name: string): boolean {
  return name.endsWith(`.c.${project}.internal`) || name.endsWith('google.internal')
}

/** `VM.ZONE.c.PROJECT.internal`. */
function ownAddress(options: NameServerOptions, name: string): string | undefined {
  if (name === METADATA[0]) return METADATA[1]
  const suffix = `.c.${options.project}.internal`
  if (!name.endsWith(suffix)) return undefined
  const [vm = '', zone = ''] = name.slice(0, -suffix.length).split('.')
  return options.find(vm, zone)
}

interface Found {
  answers: Answer[]
  /** 0: it exists. */
  code: number
}

async function forwarded(resolver: Resolver, question: Question): Promise<Found> {
  try {
    if (question.type === 'A') {
      const addresses = await resolver.resolve4(question.name)
      return { answers: addresses.map((address) => addressRecord(question, address)), code: 0 }
    }
    if (question.type === 'AAAA') {
      const addresses = await resolver.resolve6(question.name)
      const record = { type: 'AAAA' as const, name: question.name, ttl: TTL_SECONDS }
      return { answers: addresses.map((data) => ({ ...record, data })), code: 0 }
    }
    return { answers: [], code: 0 }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENODATA') return { answers: [], code: 0 }
    return { answers: [], code: code === 'ENOTFOUND' ? NAME_ERROR : SERVER_FAILURE }
  }
}

function addressRecord({ name }: Question, data: string): Answer {
  return { type: 'A', name, ttl: TTL_SECONDS, data }
}
