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
function ask({ url, method, headers, body, patienceMs }: Question): Promise<Answer> {
  return new Promise((resolve) => {
    const end = (answer: Answer): void => {
      clearTimeout(timer)
      resolve(answer)
    }
    const options = { method, agent: false, headers: { ...headers, connection: 'close' } }
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
    call.on('error', (error) => end({ failure: error.message }))
    call.end(body)
  })
}
