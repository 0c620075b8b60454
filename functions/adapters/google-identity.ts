// Who a Google access token belongs to and whether that person may use the project's clusters. Asked
// of Google with the very token (so nothing has to be trusted but Google's answer), kept for a minute.

import { createHash } from 'node:crypto'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface GoogleIdentityOptions {
  project: string
  clock: Clock
  log: Log
  /** Where Google is; tests put a double here. */
  tokenInfoUrl?: string
  resourceManagerUrl?: string
}

/** Whose token it is and what they may do. */
export interface GoogleCaller {
  email: string
  canRead: boolean
  canWrite: boolean
}

const TOKEN_INFO = 'https://oauth2.googleapis.com/tokeninfo'
const RESOURCE_MANAGER = 'https://cloudresourcemanager.googleapis.com'
/** The IAM permissions that GKE itself asks for. */
const READ = 'container.clusters.get'
const WRITE = 'container.clusters.update'
const KEPT_MS = 60_000
const ENTRIES_MAX = 1000
const TIMEOUT_MS = 5000

/** Answers undefined for a token that Google does not know or that grants nothing here. */
export function createGoogleIdentity(
  options: GoogleIdentityOptions,
): (token: string) => Promise<GoogleCaller | undefined> {
  const { clock, log } = options
  const kept = new Map<string, { until: number; caller: Promise<GoogleCaller | undefined> }>()
  return async (token) => {
    const key = createHash('sha256').update(token).digest('base64')
    const entry = kept.get(key)
    if (entry && entry.until > clock.now()) return entry.caller
    const caller = ask(options, token).catch((error: unknown) => {
      kept.delete(key)
      log.warn('Google did not answer who a token belongs to', { error })
      return undefined
    })
    if (kept.size >= ENTRIES_MAX) kept.clear()
    kept.set(key, { until: clock.now() + KEPT_MS, caller })
    return caller
  }
}

async function ask(
  options: GoogleIdentityOptions,
  token: string,
): Promise<GoogleCaller | undefined> {
  const info = await call(options.tokenInfoUrl ?? TOKEN_INFO, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ access_token: token }).toString(),
  })
  const email = info?.['email']
  if (typeof email !== 'string' || info?.['email_verified'] === 'false') return undefined
  const base = options.resourceManagerUrl ?? RESOURCE_MANAGER
  const answer = await call(`${base}/v1/projects/${options.project}:testIamPermissions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ permissions: [READ, WRITE] }),
  })
  const granted = Array.isArray(answer?.['permissions']) ? answer['permissions'] : []
  const canWrite = granted.includes(WRITE)
  const canRead = canWrite || granted.includes(READ)
  return canRead ? { email, canRead, canWrite } : undefined
}

/** The JSON of a success, undefined of a refusal; throws when Google is not to be reached. */
async function call(url: string, init: RequestInit): Promise<Record<string, unknown> | undefined> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
  const text = await response.text()
  if (response.status >= 500) throw new Error(`${new URL(url).host} answered ${response.status}`)
  if (!response.ok) return undefined
  const body: unknown = JSON.parse(text)
  return typeof body === 'object' && body !== null
    ? Object.fromEntries(Object.entries(body))
    : undefined
}
