// The control plane is away, on purpose: its API answers 503 to everybody and its functions take no
// message, as when a region of Cloud Functions is down. Messages stay with Pub/Sub and come again.

import type { App, UpgradeListener } from './serve.ts'

export interface Outage {
  /** Answers what begins, or ends, for people. */
  begin(): string
  /** Undefined: it was not away. */
  end(): string | undefined
  /** The same app, that answers only while there is no outage. */
  app(app: App): App
  upgrade(listener: UpgradeListener): UpgradeListener
  /** The same function, that fails during an outage: at once, or if it is not over after `holdMs`. */
  fn<Args extends unknown[]>(
    run: (...args: Args) => Promise<void>,
    holdMs?: number,
  ): (...args: Args) => Promise<void>
}

/**
 * So long a message is kept waiting: less than its ack deadline. After each refusal the Pub/Sub emulator waits
 * twice as long, without the limit of the subscription's retry policy (10 s) that Pub/Sub keeps to.
 */
export const HOLD_MS = 100_000

const MESSAGE = 'the control plane is away on purpose (npm run fault -- heal brings it back)'

export function createOutage(): Outage {
  let isAway = false
  const waiting = new Set<() => void>()
  const untilBack = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        waiting.delete(end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      timer.unref()
      waiting.add(end)
    })
  return {
    begin() {
      isAway = true
      return 'the control plane is away: its API answers nobody, its functions do not run, until heal'
    },
    end() {
      if (!isAway) return undefined
      isAway = false
      for (const go of waiting) go()
      return 'the control plane is back'
    },
    app: (app) => ({
      fetch: (request) =>
        isAway
          ? Response.json(
              {
                kind: 'Status',
                apiVersion: 'v1',
                metadata: {},
                status: 'Failure',
                reason: 'ServiceUnavailable',
                message: MESSAGE,
                code: 503,
              },
              { status: 503 },
            )
          : app.fetch(request),
    }),
    upgrade: (listener) => (request, socket, head) => {
      if (!isAway) listener(request, socket, head)
      else socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n')
    },
    fn:
      (run, holdMs = 0) =>
      async (...args) => {
        if (isAway && holdMs > 0) await untilBack(holdMs)
        if (isAway) throw new Error(MESSAGE)
        await run(...args)
      },
  }
}
