// Asks a page all the time, each request on a connection of its own, and remembers every one: when it
// was sent, when it ended, and how. New requests are sent at their time whether old ones have ended
// or not, as visitors do.

import { request } from 'node:http'

export interface RequestRecord {
  /** Milliseconds since 1970. */
  sentAt: number
  endedAt: number
  /** Absent: it was answered. */
  failure?: string
  /** The pod that answered. */
  servedBy?: string
}

export interface Load {
  /** All that have ended, in the order of their ends. */
  readonly records: readonly RequestRecord[]
  /** No new ones; resolves when the last has ended. */
  stop(): Promise<void>
}

/** What is asked for; by default `GET`, by visitors who wait `PATIENCE_MS`. */
export interface Question {
  url: string
  method?: string
  headers?: Readonly<Record<string, string>>
  body?: string
  patienceMs?: number
}

/** A visitor waits this long. */
export const PATIENCE_MS = 2000

/**
 * Each visitor has a port of its own. The kernel would soon give one again that somebody has left behind, and
 * whoever comes from that port is taken for the one before by every connection tracking on the way: two
 * visitors do not share an address and a port.
 */
const PORTS = { from: 10_000, to: 32_000 }
let nextPort = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from))

function ownPort(): number {
  nextPort = nextPort + 1 < PORTS.to ? nextPort + 1 : PORTS.from
  return nextPort
}

export function startLoad(what: string | Question, perSecond: number): Load {
  const question = typeof what === 'string' ? { url: what } : what
  const records: RequestRecord[] = []
  const open = new Set<Promise<void>>()
  const send = async (): Promise<void> => {
    const sentAt = Date.now()
    const answer = await ask(question)
    records.push({ sentAt, endedAt: Date.now(), ...answer })
  }
  const sendOne = (): void => {
    const one = send()
    open.add(one)
    void one.finally(() => open.delete(one))
  }
  const timer = setInterval(sendOne, 1000 / perSecond)
  return {
    records,
    async stop() {
      clearInterval(timer)
      await Promise.all(open)
    },
  }
}

type Answer = Pick<RequestRecord, 'failure' | 'servedBy'>

/** An answer is 200, to its end. */
async function ask(question: Question): Promise<Answer> {
  for (;;) {
    const answer = await askFrom(ownPort(), question)
    // Somebody else on this machine has that port.
    if (!answer.failure?.includes('EADDRINUSE')) return answer
  }
}

function askFrom(
  localPort: number,
  { url, method, headers, body, patienceMs }: Question,
): Promise<Answer> {
  return new Promise((resolve) => {
    const end = (answer: Answer): void => {
      clearTimeout(timer)
      resolve(answer)
    }
    const options = {
      method,
      agent: false,
      localPort,
      headers: { ...headers, connection: 'close' },
    }
    const call = request(url, options, (response) => {
      const { statusCode, headers } = response
      const servedBy = String(headers['x-served-by'] ?? '')
      response.resume()
      response.on('end', () =>
        end(statusCode === 200 ? { servedBy } : { failure: `HTTP ${statusCode}` }),
      )
      response.on('error', (error) => end({ failure: error.message }))
      response.on('close', () => end({ failure: 'cut' }))
    })
    const timer = setTimeout(() => {
      end({ failure: 'no answer' })
      call.destroy()
    }, patienceMs ?? PATIENCE_MS)
    // Without the port of our own, which Node adds.
    call.on('error', (error) => end({ failure: error.message.replace(/ - Local .*$/, '') }))
    call.end(body)
  })
}
