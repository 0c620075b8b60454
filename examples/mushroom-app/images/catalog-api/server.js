// GET /species → all of them; GET /species/ID → one.

import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { SPECIES } from './species.js'

const PORT = Number(process.env.PORT ?? 8080)
const HOST = process.env.HOST ?? '0.0.0.0'
const KEY = process.env.API_KEY ?? ''
const DRAIN_MS = 1000
const pod = process.env.HOSTNAME ?? hostname()

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

const server = createServer((request, response) => {
  if (request.url === '/healthz') return send(response, 200, { ok: true })
  if (request.headers['x-api-key'] !== KEY) return send(response, 401, { error: 'wrong API key' })
  if (request.url === '/species') return send(response, 200, { species: SPECIES, pod })
  const id = /^\/species\/([a-z-]+)$/.exec(request.url ?? '')?.[1]
  const found = SPECIES.find((species) => species.id === id)
  return found
    ? send(response, 200, { species: found, pod })
    : send(response, 404, { error: 'not found' })
})
server.listen(PORT, HOST, () => console.log(`catalog-api: pod ${pod} listens on ${HOST}:${PORT}`))

process.once('SIGTERM', () => {
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, DRAIN_MS)
})
