// How GitHub is spoken to: with a token from a Secret, or as a GitHub App whose key makes short-lived
// tokens. https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app

import { createHash, createPrivateKey } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Secret } from '#shared/api/config.ts'
import type { Repository } from '#shared/api/repository.ts'
import { keyOf } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { isObject } from '#shared/patch/json.ts'
import { parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { failureOf, GithubBusy, GithubRefusal } from './github-errors.ts'
import { send } from './github-request.ts'

export interface Credentials {
  /** Errors: GithubRefusal, GithubBusy. */
  tokenFor(repository: Repository, reader: Reader, url: string): Promise<Access>
  /** GitHub refuses this token: the next one is made anew. */
  forget(token: string): void
}

export interface Access {
  /** Undefined when the Repository names no credentials. */
  token: string | undefined
  /** A GitHub App's installation token. */
  isApp: boolean
}

const MINUTE = 60_000

export function createCredentials(clock: Clock, fetch: typeof globalThis.fetch): Credentials {
  const tokens = new Map<string, { token: string; untilMs: number }>()

  async function appToken(
    url: string,
    app: { id: string; installation: string; key: string },
  ): Promise<string> {
    // The key is part of it: who does not have it gets nothing of what was made with it.
    const proof = createHash('sha256').update(app.key).digest('hex')
    const id = `${url} ${app.id} ${app.installation} ${proof}`
    const known = tokens.get(id)
    if (known && known.untilMs - MINUTE > clock.now()) return known.token
    const jwt = await signed(app, clock.now())
    const path = `/app/installations/${encodeURIComponent(app.installation)}/access_tokens`
    const response = await send({ clock, fetch }, `${url}${path}`, {
      method: 'POST',
      redirect: 'error',
      headers: { authorization: `Bearer ${jwt}`, accept: 'application/vnd.github+json' },
    })
    if (!response.ok) throw await failureOf(response, `POST ${path}`, clock.now())
    const body: unknown = await response.json().catch(() => undefined)
    const token = isObject(body) ? body['token'] : undefined
    const expires = isObject(body) ? body['expires_at'] : undefined
    if (typeof token !== 'string') throw new GithubBusy('GitHub answers no token')
    const untilMs = parseTime(typeof expires === 'string' ? expires : '') ?? clock.now() + MINUTE
    tokens.set(id, { token, untilMs })
    return token
  }

  return {
    async tokenFor({ spec, metadata }, reader, url) {
      if (!spec.credentialsRef) return { token: undefined, isApp: false }
      const { name } = spec.credentialsRef
      const secret: Secret | undefined = reader.get(keyOf('secrets', metadata.namespace, name))
      if (!secret)
        throw new GithubRefusal(401, `the Secret "${name}" of spec.credentialsRef is missing`)
      const token = textIn(secret, 'token')
      if (token) return { token, isApp: false }
      const id = textIn(secret, 'appId')
      const installation = textIn(secret, 'installationId')
      const key = textIn(secret, 'privateKey')
      if (id && installation && key) {
        return { token: await appToken(url, { id, installation, key }), isApp: true }
      }
      throw new GithubRefusal(
        401,
        `the Secret "${name}" holds neither token nor appId, installationId and privateKey`,
      )
    },
    forget(token) {
      for (const [id, known] of tokens) if (known.token === token) tokens.delete(id)
    },
  }
}

/** A key of a Secret as text; '' when it is not there. */
export function textIn(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? '', 'base64')
    .toString()
    .trim()
}

async function signed(app: { id: string; key: string }, now: number): Promise<string> {
  try {
    // A minute back, because GitHub's clock may be behind ours.
    const issued = Math.floor((now - MINUTE) / 1000)
    return await new SignJWT({})
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(app.id)
      .setIssuedAt(issued)
      .setExpirationTime(issued + 600)
      .sign(createPrivateKey(app.key))
  } catch {
    throw new GithubRefusal(401, 'the GitHub App’s privateKey is not a PEM key')
  }
}
