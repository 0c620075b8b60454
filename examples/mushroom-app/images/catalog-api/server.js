// GET /species → all of them; GET /species/ID → one. POST /questions keeps a question and its answer in the
// database; GET /questions → the latest ones.

import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { keep, latest } from './questions.js'
import { SPECIES } from './species.js'

const PORT = Number(process.env.PORT ?? 8080)
const HOST = process.env.HOST ?? '0.0.0.0'
const KEY = process.env.API_KEY ?? ''
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

async function questions(request, response) {
  if (request.method !== 'POST') return send(response, 200, { questions: await latest(), pod })
  const { traits, answer = null, probability } = (await readJson(request)) ?? {}
  if (typeof traits !== 'object' || traits === null || typeof probability !== 'number') {
    return send(response, 400, { error: 'a question has traits, an answer and a probability' })
  }
  return send(response, 201, { id: await keep({ traits, answer, probability }), pod })
}

async function answer(request, response) {
  if (request.url === '/healthz') return send(response, 200, { ok: true })
  if (request.headers['x-api-key'] !== KEY) return send(response, 401, { error: 'wrong API key' })
  if (request.url === '/species') return send(response, 200, { species: SPECIES, pod })
  if (request.url === '/questions') return questions(request, response)
  const id = /^\/species\/([a-z-]+)$/.exec(request.url ?? '')?.[1]
  const found = SPECIES.find((species) => species.id === id)
  return found
    ? send(response, 200, { species: found, pod })
    : send(response, 404, { error: 'not found' })
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(`catalog-api: ${request.url}: ${error.message}`)
    send(response, 503, { error: 'the database does not answer' })
  })
})
server.listen(PORT, HOST, () => console.log(`catalog-api: pod ${pod} listens on ${HOST}:${PORT}`))

process.once('SIGTERM', () => {
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, DRAIN_MS)
})
