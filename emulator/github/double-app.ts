// A GitHub App as GitHub knows it: who proves with its key gets an installation token for an hour.

import { createPublicKey } from 'node:crypto'
import type { Context, Hono } from 'hono'
import { jwtVerify } from 'jose'
import type { Clock } from '#shared/ports/clock.ts'

export interface AppDouble {
  id: string
  installation: string
  /** PEM. */
  publicKey: string
  /** Tokens and when they end, in milliseconds since 1970. */
  tokens: Map<string, number>
}

const HOUR = 3_600_000

/** Archives are fetched by their own short-lived address, and tokens are asked for with a JWT. */
export function isKnownToken({ tokens }: AppDouble, c: Context, now: number): boolean {
  if (/\/codeload\/|\/app\/installations\//.test(c.req.path)) return true
  const token = c.req.header('authorization')?.replace(/^Bearer /, '') ?? ''
  return (tokens.get(token) ?? 0) > now
}

/** POST /app/installations/ID/access_tokens. */
export function addTokens(app: Hono, credentials: AppDouble, clock: Clock): void {
  app.post('/app/installations/:id/access_tokens', async (c) => {
    const jwt = c.req.header('authorization')?.replace(/^Bearer /, '') ?? ''
    try {
      const { payload } = await jwtVerify(jwt, createPublicKey(credentials.publicKey), {
        algorithms: ['RS256'],
        issuer: credentials.id,
        currentDate: new Date(clock.now()),
        requiredClaims: ['iat', 'exp'],
      })
      // GitHub refuses proofs that are good for more than ten minutes.
      if ((payload.exp ?? 0) * 1000 > clock.now() + 600_000) throw new Error('too long')
    } catch {
      return c.json({ message: 'A JSON web token could not be decoded' }, 401)
    }
    if (c.req.param('id') !== credentials.installation) return c.json({ message: 'Not Found' }, 404)
    const token = `ghs_${credentials.tokens.size + 1}`
    const untilMs = clock.now() + HOUR
    credentials.tokens.set(token, untilMs)
    return c.json({ token, expires_at: new Date(untilMs).toISOString() }, 201)
  })
}
