// A stand-in for Google's identity services on loopback: it signs tokens like Google does, shows its
// public keys, and says whose access tokens are whose. Nothing outside tests trusts it.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

export interface Claims {
  audience: string
  issuer?: string
  /** Seconds from now; negative: expired. */
  expiresIn?: number
  claims?: Record<string, unknown>
  /** Signed with a key that nobody knows, under the id of the known one. */
  isForged?: boolean
}

export interface GoogleDouble {
  /** `http://127.0.0.1:1234`. */
  url: string
  sign(token: Claims): Promise<string>
  /** A token as Pub/Sub, Cloud Scheduler or Cloud Tasks sends it. */
  pushToken(audience: string, email: string): Promise<string>
  /** What the metadata server answers to a VM. */
  vmToken(audience: string, engine: Record<string, unknown>): Promise<string>
  /** Access tokens that are known, and the IAM permissions that they give. */
  people: Map<string, { email: string; permissions: string[] }>
  /** Every request's path, in order. */
  requests: string[]
  /** While true every answer is a 500. */
  isDown: boolean
  close(): Promise<void>
}

const ISSUER = 'https://accounts.google.com'
const HOUR = 3600

export async function startGoogleDouble(): Promise<GoogleDouble> {
  const known = await generateKeyPair('RS256')
  const unknown = await generateKeyPair('RS256')
  const jwks = { keys: [{ ...(await exportJWK(known.publicKey)), kid: 'k1', alg: 'RS256' }] }
  const people: GoogleDouble['people'] = new Map()
  const requests: string[] = []
  const double = { isDown: false }

  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    if (double.isDown) return answer(500, {})
    if (path === '/oauth2/v3/certs') return answer(200, jwks)
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      if (path === '/tokeninfo') {
        const person = people.get(new URLSearchParams(text).get('access_token') ?? '')
        if (!person) return answer(400, { error: 'invalid_token' })
        return answer(200, { email: person.email, email_verified: 'true' })
      }
      if (!path.endsWith(':testIamPermissions')) return answer(404, {})
      const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
      return answer(200, { permissions: people.get(bearer)?.permissions ?? [] })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const sign: GoogleDouble['sign'] = (token) => {
    const now = Math.floor(Date.now() / 1000)
    const expires = now + (token.expiresIn ?? HOUR)
    return new SignJWT(token.claims ?? {})
      .setProtectedHeader({ alg: 'RS256', kid: 'k1', typ: 'JWT' })
      .setIssuer(token.issuer ?? ISSUER)
      .setSubject('1'.repeat(21))
      .setAudience(token.audience)
      .setIssuedAt(Math.min(now, expires - HOUR))
      .setExpirationTime(expires)
      .sign(token.isForged ? unknown.privateKey : known.privateKey)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    sign,
    pushToken: (audience, email) => sign({ audience, claims: { email, email_verified: true } }),
    vmToken: (audience, engine) =>
      sign({ audience, claims: { google: { compute_engine: engine } } }),
    people,
    requests,
    get isDown() {
      return double.isDown
    },
    set isDown(value) {
      double.isDown = value
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
