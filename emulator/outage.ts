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
  /** The same function, that fails during an outage. */
  fn<Args extends unknown[]>(
    run: (...args: Args) => Promise<void>,
  ): (...args: Args) => Promise<void>
}

const MESSAGE = 'the control plane is away on purpose (npm run fault -- heal brings it back)'

export function createOutage(): Outage {
  let isAway = false
  return {
    begin() {
      isAway = true
      return 'the control plane is away: its API answers nobody, its functions do not run, until heal'
    },
    end() {
      if (!isAway) return undefined
      isAway = false
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
      (run) =>
      async (...args) => {
        if (isAway) throw new Error(MESSAGE)
        await run(...args)
      },
  }
}
