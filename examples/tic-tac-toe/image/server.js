// Serves the game, and says which pod answered. No packages: Node.js is all it needs.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'

const PORT = Number(process.env.PORT ?? 8080)
const HOST = process.env.HOST ?? '0.0.0.0'
/** How long a pod that was told to stop still answers: until everybody knows that it goes. */
const DRAIN_MS = 1000
/** Requests that take longer than this are cut. */
const LIMIT_MS = 8000

const page = readFileSync(join(import.meta.dirname, 'public', 'index.html'))
const pod = process.env.POD_NAME ?? process.env.HOSTNAME ?? hostname()
const startedAt = Date.now()
let served = 0
let isDraining = false

const routes = {
  '/': (response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.setHeader('cache-control', 'no-cache')
    response.end(page)
  },
  '/api/whoami': (response) => {
    // A new connection for each question, so that the load balancer chooses anew.
    response.setHeader('connection', 'close')
    response.setHeader('cache-control', 'no-store')
    json(response, { pod, node: process.env.NODE_NAME, startedAt, served })
  },
  '/healthz': (response) => {
    response.statusCode = isDraining ? 503 : 200
    response.end(isDraining ? 'draining\n' : 'ok\n')
  },
}

function json(response, body) {
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(body)}\n`)
}

const server = createServer((request, response) => {
  served++
  response.setHeader('x-served-by', pod)
  if (isDraining) response.setHeader('connection', 'close')
  const path = new URL(request.url ?? '/', 'http://web').pathname
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.statusCode = 405
    response.end()
    return
  }
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (route) route(response)
  else {
    response.statusCode = 404
    response.end('not found\n')
  }
})

server.listen(PORT, HOST, () => {
  console.log(`tic-tac-toe: pod ${pod} listens on ${HOST}:${PORT}`)
})

process.once('SIGTERM', () => {
  console.log('tic-tac-toe: asked to stop, finishing what is under way')
  isDraining = true
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, DRAIN_MS)
  setTimeout(() => process.exit(0), LIMIT_MS).unref()
})
