// Speaks to the api function: the two calls of shared/api/agent-wire.ts, over TLS with the cluster's
// own CA, as the VM that this is.

import { request as httpRequest, Agent as HttpAgent } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'
import type { DesiredState, NodeReport, ReportAnswer } from '#shared/api/agent-wire.ts'
import { isRecord } from '../json.ts'

export interface ApiClient {
  desired(): Promise<DesiredState>
  report(report: NodeReport): Promise<ReportAnswer>
  close(): void
}

/** The API answered, but not with what was asked for. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  /** What the API asks to wait; undefined: it does not say. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, retryAfterMs?: number) {
    super(message)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

export interface ApiClientOptions {
  /** `https://127.0.0.1:6443`, with a path where clusters have one. */
  url: string
  /** PEM; empty: the system's roots. */
  ca: string
  node: string
  identity: { token(): Promise<string>; forget(): void }
}

const TIMEOUT_MS = 15_000

export function createApiClient({ url, ca, node, identity }: ApiClientOptions): ApiClient {
  const base = `${url.replace(/\/$/, '')}/apis/agent.wherry.dev/v1/nodes/${node}`
  const isTls = url.startsWith('https:')
  const agent = isTls
    ? new HttpsAgent({ keepAlive: true, maxSockets: 2, ...(ca ? { ca } : {}) })
    : new HttpAgent({ keepAlive: true, maxSockets: 2 })
  const call = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> => {
    const token = await identity.token()
    const answer = await send(isTls ? httpsRequest : httpRequest, `${base}/${path}`, {
      method,
      agent,
      token,
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    if (answer.status === 401) identity.forget()
    const json = parse(answer.text)
    if (answer.status >= 200 && answer.status < 300) return json
    throw new ApiError(answer.status, messageOf(json, answer), retryAfter(json, answer))
  }
  return {
    async desired() {
      const json = await call('GET', 'desired')
      if (isDesired(json)) return json
      throw new ApiError(502, 'the API answered something else than a desired state')
    },
    async report(report) {
      const json = await call('POST', 'report', report)
      if (isAnswer(json)) return json
      throw new ApiError(502, 'the API answered something else than a report answer')
    },
    close: () => agent.destroy(),
  }
}

interface Answer {
  status: number
  text: string
  retryAfter: string | undefined
}

function send(
  request: typeof httpRequest,
  url: string,
  options: {
    method: string
    agent: HttpAgent
    token: string
    body: string | undefined
  },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method, agent, token, body } = options
    const sent = request(
      url,
      {
        method,
        agent,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          'user-agent': 'wherry-agent',
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString(),
            retryAfter: response.headers['retry-after'],
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function messageOf(json: unknown, { status, text }: Answer): string {
  if (isRecord(json) && typeof json['message'] === 'string') return json['message']
  return `HTTP ${status}: ${text.slice(0, 200)}`
}

function retryAfter(json: unknown, answer: Answer): number | undefined {
  const details = isRecord(json) && isRecord(json['details']) ? json['details'] : {}
  const seconds = Number(answer.retryAfter ?? details['retryAfterSeconds'])
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}

/** True for what the API sends as a desired state; its objects are the API's own and are believed. */
const LISTS = ['pods', 'configMaps', 'secrets', 'services', 'endpointSlices', 'networkPolicies']

export function isDesired(json: unknown): json is DesiredState {
  return (
    isRecord(json) &&
    typeof json['version'] === 'string' &&
    LISTS.every((key) => Array.isArray(json[key]))
  )
}

function isAnswer(json: unknown): json is ReportAnswer {
  return isRecord(json) && Array.isArray(json['unknown'])
}
