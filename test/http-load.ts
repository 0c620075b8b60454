// Many visitors at the same time on kept connections, each asking again as soon as it is answered; every
// failure is kept.

import { Agent, request } from 'node:http'

export interface HttpLoad {
  /** How many were answered with 200, so far. */
  answered(): number
  /** What went wrong, oldest first. */
  readonly failures: readonly string[]
  /** How often each body came. */
  readonly bodies: ReadonlyMap<string, number>
  /** No new requests; resolves when the last has ended. */
  stop(): Promise<void>
}

export interface HttpLoadTarget {
  /** Where to connect to. */
  host: string
  port: number
  path: string
  /** The Host header. */
  hostHeader: string
}

export function startHttpLoad(target: HttpLoadTarget, visitors: number): HttpLoad {
  const agent = new Agent({ keepAlive: true })
  const failures: string[] = []
  const bodies = new Map<string, number>()
  let answered = 0
  const over = new AbortController()
  const visit = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const answer = await ask(target, agent)
      if ('failure' in answer) failures.push(`${new Date().toISOString()} ${answer.failure}`)
      else {
        answered++
        bodies.set(answer.body, (bodies.get(answer.body) ?? 0) + 1)
      }
    }
  }
  const all = Promise.all(Array.from({ length: visitors }, visit))
  return {
    answered: () => answered,
    failures,
    bodies,
    async stop() {
      over.abort()
      await all
      agent.destroy()
    },
  }
}

/** One request; 200 to its end is an answer. */
export function ask(
  { host, port, path, hostHeader }: HttpLoadTarget,
  agent?: Agent,
): Promise<{ body: string } | { failure: string; status?: number; body?: string }> {
  return new Promise((resolve) => {
    const call = request(
      { host, port, path, headers: { host: hostHeader }, agent: agent ?? false },
      (response) => {
        let body = ''
        const { statusCode: status = 0 } = response
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
        response.on('error', (error) => resolve({ failure: `cut: ${error.message}` }))
        response.on('end', () =>
          resolve(status === 200 ? { body } : { failure: `HTTP ${status}`, status, body }),
        )
      },
    )
    call.on('error', (error) => resolve({ failure: error.message }))
    call.end()
  })
}
