// healthCheckNodePort of Services with externalTrafficPolicy Local: the load balancer asks each node
// whether it has endpoints, and leaves out those without. Answers as kube-proxy's
// (pkg/proxy/healthcheck/service_health.go).

import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { Log } from '#shared/ports/log.ts'

export interface HealthCheck {
  port: number
  namespace: string
  name: string
  localEndpoints: number
}

/** A health checker says little; whoever says more is cut off. */
const REQUEST_MS = 5000
const CONNECTIONS_MAX = 256

export class HealthCheckPorts {
  readonly #log: Log
  readonly #open = new Map<number, { server: Server; check: HealthCheck }>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Listens at exactly these ports, at all addresses: a check comes to the balancer's address too. */
  apply(checks: readonly HealthCheck[]): void {
    const wanted = new Map(checks.map((check) => [check.port, check]))
    for (const [port, { server }] of this.#open) {
      if (wanted.has(port)) continue
      this.#open.delete(port)
      server.close()
      server.closeAllConnections()
    }
    for (const [port, check] of wanted) {
      const open = this.#open.get(port)
      if (open) open.check = check
      else this.#open.set(port, { server: this.#listen(port), check })
    }
  }

  close(): void {
    this.apply([])
  }

  #listen(port: number): Server {
    const server = createServer((_request, response) => {
      const check = this.#open.get(port)?.check
      const count = check?.localEndpoints ?? 0
      response.writeHead(count > 0 ? 200 : 503, {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': String(count),
      })
      const service = { namespace: check?.namespace ?? '', name: check?.name ?? '' }
      response.end(
        `${JSON.stringify({ service, localEndpoints: count, serviceProxyHealthy: true })}\n`,
      )
    })
    server.requestTimeout = REQUEST_MS
    server.headersTimeout = REQUEST_MS
    server.maxConnections = CONNECTIONS_MAX
    server.on('error', (error) => {
      this.#open.delete(port)
      this.#log.error('the health check port of a Service cannot be opened', { port, error })
    })
    server.listen(port, '0.0.0.0')
    return server
  }
}
