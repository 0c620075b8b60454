// POST /classify {"traits": {"cap": "convex", …}} → the species that the traits fit, with probabilities.

import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { classify, problemOf } from './model.js'

const PORT = Number(process.env.PORT ?? 8080)
const HOST = process.env.HOST ?? '0.0.0.0'
const KEY = process.env.API_KEY ?? ''
const CONFIDENCE = Number(process.env.CONFIDENCE ?? 0.35)
const BODY_MAX = 10_000
const DRAIN_MS = 1000
const pod = process.env.HOSTNAME ?? hostname()

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

async function readJson(request) {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > BODY_MAX) return undefined
  }
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function answer(request, response) {
  if (request.url === '/healthz') return send(response, 200, { ok: true })
  if (request.headers['x-api-key'] !== KEY) return send(response, 401, { error: 'wrong API key' })
  if (request.method !== 'POST' || request.url !== '/classify') {
    return send(response, 404, { error: 'not found' })
  }
  const body = await readJson(request)
  const problem = problemOf(body?.traits)
  if (problem) return send(response, 400, { error: problem })
  const guesses = classify(body.traits)
  const best = guesses[0].probability >= CONFIDENCE ? guesses[0].species : null
  return send(response, 200, { best, guesses: guesses.slice(0, 4), pod })
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => send(response, 500, { error: 'internal error' }))
})
server.listen(PORT, HOST, () => console.log(`model-api: pod ${pod} listens on ${HOST}:${PORT}`))

process.once('SIGTERM', () => {
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, DRAIN_MS)
})
