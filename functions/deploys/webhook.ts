// POST /github/webhook/CLUSTER: GitHub tells that something has happened. Whoever cannot sign with a
// Repository's secret is refused before anything is kept; what is accepted is in the store before the
// answer; the work comes afterwards.

import { verify } from '@octokit/webhooks-methods'
import { Hono, type Context } from 'hono'
import type { Secret } from '#shared/api/config.ts'
import { REPOSITORIES, type Repository } from '#shared/api/repository.ts'
import { isAbout, KNOWN_EVENTS, meaningOf, shownEvent } from '#shared/deploy/events.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { keyOf } from '#shared/key.ts'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { record, type Delivery } from './record.ts'
import { textIn } from './credentials.ts'

export interface WebhookDeps {
  views: LiveViews
  bus: Bus
  clock: Clock
  log: Log
  newId: () => string
}

export const WEBHOOK_PATH = '/github/webhook'

/** GitHub sends up to 25 MB; a push of ordinary size has some kilobytes. */
const BODY_BYTES_MAX = 5_000_000
const SIGNATURE = /^sha256=[0-9a-f]{64}$/
const DELIVERY = /^[A-Za-z0-9-]{1,100}$/
const EVENT = /^[a-z0-9_]{1,50}$/
const CLUSTER = /^[a-z0-9][a-z0-9-]{0,62}$/
/** Publishing may not hold up the answer: the sweep delivers what is lost. */
const PUBLISH_MS = 2000

/** The app; everything but the webhook is not found. */
export function createWebhook(deps: WebhookDeps): Hono {
  const app = new Hono()
  app.post(`${WEBHOOK_PATH}/:cluster`, (c) => receive(deps, c, c.req.param('cluster')))
  app.all(`${WEBHOOK_PATH}/:cluster`, (c) => c.text('POST only\n', 405))
  app.onError((error, c) => {
    if (isReason(error, 'ServiceUnavailable')) return c.text('try again\n', 503)
    deps.log.error('a webhook delivery failed', { error })
    return c.text('failed\n', 500)
  })
  return app
}

async function receive(deps: WebhookDeps, c: Context, cluster: string): Promise<Response> {
  const headers = {
    event: c.req.header('x-github-event') ?? '',
    id: c.req.header('x-github-delivery') ?? '',
    signature: c.req.header('x-hub-signature-256') ?? '',
  }
  if (!EVENT.test(headers.event) || !DELIVERY.test(headers.id) || !CLUSTER.test(cluster)) {
    return c.text('this is no delivery of a GitHub webhook\n', 400)
  }
  // The old header (SHA-1) alone proves too little.
  if (!SIGNATURE.test(headers.signature)) return c.text('X-Hub-Signature-256 is missing\n', 401)
  const body = await boundedText(c.req.raw)
  if (body === 'too large') {
    return c.text(`at most ${BODY_BYTES_MAX} bytes; the branch is compared later\n`, 413)
  }
  if (body === 'not text') return c.text('the body is not UTF-8\n', 400)
  const live = await deps.views.open(cluster)
  const trusted = await signers(await live.catchUp(), body.text, headers.signature)
  if (trusted.length === 0) return c.text('the signature does not match\n', 401)
  const payload = payloadOf(body.text, c.req.header('content-type') ?? '')
  if (!payload) return c.text('the payload is not JSON\n', 400)
  if (!KNOWN_EVENTS.has(headers.event)) return c.json({ ignored: headers.event }, 202)
  const delivery = { id: headers.id, event: shownEvent(headers.event, payload) }
  const outcomes = await accept(
    deps,
    cluster,
    { ...delivery, payload, name: headers.event },
    trusted,
  )
  if (outcomes.length === 0) return c.json({ ignored: delivery.event }, 202)
  return c.json({ accepted: outcomes }, 202)
}

/** The Repositories whose secret made this signature, compared in constant time. */
async function signers(reader: Reader, text: string, signature: string): Promise<Repository[]> {
  const bySecret = new Map<string, Repository[]>()
  for (const repository of reader.list(REPOSITORIES) as readonly Repository[]) {
    const secret = webhookSecret(reader, repository)
    if (!secret) continue
    bySecret.set(secret, [...(bySecret.get(secret) ?? []), repository])
  }
  const trusted: Repository[] = []
  for (const [secret, repositories] of bySecret) {
    if (await verify(secret, text, signature)) trusted.push(...repositories)
  }
  return trusted
}

function webhookSecret(reader: Reader, { spec, metadata }: Repository): string | undefined {
  const reference = spec.webhookSecretRef
  if (!reference) return undefined
  const key = keyOf('secrets', metadata.namespace, reference.name)
  const secret: Secret | undefined = reader.get(key)
  return secret && textIn(secret, reference.key ?? 'secret')
}

async function accept(
  deps: WebhookDeps,
  cluster: string,
  delivery: { id: string; event: string; name: string; payload: JsonObject },
  trusted: readonly Repository[],
): Promise<string[]> {
  const outcomes: string[] = []
  let mustWake = false
  for (const repository of trusted) {
    const { name, payload } = delivery
    // A ping of an organisation's webhook names no repository.
    const isMeant = isAbout(repository, payload) || (name === 'ping' && !payload['repository'])
    if (!isMeant) continue
    const meaning = meaningOf(name, payload, repository)
    if (meaning.do === 'ignore') continue
    const kept: Delivery = { id: delivery.id, event: delivery.event, meaning }
    const isNew = await record(deps, cluster, repository.metadata, kept)
    outcomes.push(isNew ? meaning.outcome : `${meaning.outcome} (known already)`)
    // Also for a known one: the first answer, and its wake-up, may have been lost.
    mustWake ||= meaning.do !== 'note'
  }
  if (mustWake) await wake(deps, cluster)
  return outcomes
}

async function wake({ bus, clock, log }: WebhookDeps, cluster: string): Promise<void> {
  const published = new AbortController()
  const message = { attributes: { cluster }, data: '{}', orderingKey: cluster }
  const publishing = bus
    .publish(TOPICS.deploys, message)
    .catch((error: unknown) => {
      log.warn('a deploy could not be published; the sweep will deliver it', { cluster, error })
    })
    .finally(() => published.abort())
  await Promise.race([publishing, clock.sleep(PUBLISH_MS, published.signal)])
}

type BodyText = { text: string } | 'too large' | 'not text'

/** Reads no further than the limit, whatever the headers say. */
async function boundedText(request: Request): Promise<BodyText> {
  if (Number(request.headers.get('content-length') ?? 0) > BODY_BYTES_MAX) return 'too large'
  const chunks: Uint8Array[] = []
  let bytes = 0
  if (request.body) {
    for await (const chunk of request.body) {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) return 'too large'
      chunks.push(chunk)
    }
  }
  try {
    return {
      text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        Buffer.concat(chunks),
      ),
    }
  } catch {
    return 'not text'
  }
}

/** JSON, or the form that GitHub sends where a webhook was set up so. */
function payloadOf(text: string, contentType: string): JsonObject | undefined {
  const isForm = contentType.startsWith('application/x-www-form-urlencoded')
  const json = isForm ? (new URLSearchParams(text).get('payload') ?? '') : text
  try {
    const value: unknown = JSON.parse(json)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
