// The page, and the two APIs behind it: the browser speaks to this server only, so the APIs need no
// address outside and their key never leaves the cluster.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'

const PORT = Number(process.env.PORT ?? 8080)
const HOST = process.env.HOST ?? '0.0.0.0'
const KEY = process.env.API_KEY ?? ''
const TITLE = process.env.TITLE ?? 'Mushroom finder'
const MODEL = process.env.MODEL_API_URL ?? 'http://model-api:8080'
const CATALOG = process.env.CATALOG_API_URL ?? 'http://catalog-api:8080'
const BODY_MAX = 10_000
const TIMEOUT_MS = 3000
const DRAIN_MS = 1000
const pod = process.env.HOSTNAME ?? hostname()

const page = readFileSync(join(import.meta.dirname, 'public', 'index.html'), 'utf8').replaceAll(
  '{{title}}',
  TITLE.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`),
)

function send(response, status, body) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-served-by': pod,
  })
  response.end(`${JSON.stringify(body)}\n`)
}

/** Asks an API; once more when a pod went away in the middle. */
async function ask(url, body) {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(url, {
        method: body ? 'POST' : 'GET',
        headers: { 'x-api-key': KEY, 'content-type': 'application/json', connection: 'close' },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      return { status: answer.status, body: await answer.json() }
    } catch (error) {
      if (attempt === 2) throw error
    }
  }
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

/** The model's guesses, with what the catalog knows about each. */
async function classify(request, response) {
  const { traits } = (await readJson(request)) ?? {}
  const [model, catalog] = await Promise.all([
    ask(`${MODEL}/classify`, { traits }),
    ask(`${CATALOG}/species`),
  ])
  if (model.status !== 200) return send(response, model.status, model.body)
  if (catalog.status !== 200) return send(response, catalog.status, catalog.body)
  const byId = new Map(catalog.body.species.map((species) => [species.id, species]))
  const guesses = model.body.guesses.map(({ species, probability }) => ({
    ...byId.get(species),
    probability,
  }))
  const pods = { frontend: pod, 'model-api': model.body.pod, 'catalog-api': catalog.body.pod }
  const isSure = model.body.best !== null
  const [best] = guesses
  const question = { traits, answer: isSure ? best.name : null, probability: best.probability }
  // Without its database the app still answers.
  const isKept = await ask(`${CATALOG}/questions`, question).then(
    ({ status }) => status === 201,
    () => false,
  )
  return send(response, 200, { isSure, guesses, pods, isKept })
}

/** What was asked lately, by anybody. */
async function questions(response) {
  const { status, body } = await ask(`${CATALOG}/questions`)
  return send(response, status, body)
}

async function answer(request, response) {
  const path = new URL(request.url ?? '/', 'http://frontend').pathname
  if (path === '/healthz') return send(response, 200, { ok: true })
  if (path === '/api/classify' && request.method === 'POST') return classify(request, response)
  if (path === '/api/questions') return questions(response)
  if (path !== '/') return send(response, 404, { error: 'not found' })
  response.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
  })
  return response.end(page)
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(`frontend: ${request.url}: ${error.cause?.message ?? error.message}`)
    send(response, 502, { error: 'an API behind this page does not answer' })
  })
})
server.listen(PORT, HOST, () => {
  console.log(`frontend: pod ${pod} listens on ${HOST}:${PORT}, APIs ${MODEL} and ${CATALOG}`)
})

process.once('SIGTERM', () => {
  setTimeout(() => {
    server.close(() => process.exit(0))
    server.closeIdleConnections()
  }, DRAIN_MS)
})
