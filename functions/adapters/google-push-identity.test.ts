import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGoogleDouble, type Claims, type GoogleDouble } from '#test/support/google-double.ts'
import { createGoogleKeys } from './google-keys.ts'
import { createPushIdentity } from './google-push-identity.ts'

const OURS = 'https://wherry-reconcile-1.us-east1.run.app'
const CALLER = 'wherry-invoker@p.iam.gserviceaccount.com'

let google: GoogleDouble
let verify: ReturnType<typeof createPushIdentity>

beforeAll(async () => {
  google = await startGoogleDouble()
  verify = createPushIdentity({
    audience: OURS,
    caller: CALLER,
    keys: createGoogleKeys(`${google.url}/oauth2/v3/certs`),
  })
})

afterAll(() => google.close())

const claims = { email: CALLER, email_verified: true }

async function verdictOf(token: Partial<Claims>): Promise<string> {
  const signed = await google.sign({ audience: OURS, claims, ...token })
  return (await verify(`Bearer ${signed}`)).verdict
}

describe('who calls a function', () => {
  it('is accepted with the token that Google signs for our account and this function', async () => {
    expect(await verdictOf({})).toBe('accepted')
  })

  it.each<[string, Partial<Claims>]>([
    ['is forged', { isForged: true }],
    ['has expired', { expiresIn: -60 }],
    ['is for another function', { audience: 'https://wherry-sweep-1.us-east1.run.app' }],
    ['is of another issuer', { issuer: 'https://accounts.example.com' }],
    ['is of another account', { claims: { ...claims, email: 'evil@p.iam.gserviceaccount.com' } }],
    ['has an e-mail that nobody verified', { claims: { ...claims, email_verified: false } }],
    ['names no account', { claims: {} }],
  ])('is refused when the token %s', async (_, token) => {
    expect(await verdictOf(token)).toBe('refused')
  })

  it('is refused without a token, with something else, and with one that is not signed', async () => {
    const unsigned = `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify({ ...claims, aud: OURS }))}.`
    for (const header of [undefined, '', 'Bearer', 'Bearer ya29.abc', `Bearer ${unsigned}`]) {
      expect((await verify(header)).verdict, header).toBe('refused')
    }
  })

  it('never says the token in its reasons', async () => {
    const token = await google.sign({ audience: OURS, claims, isForged: true })
    expect(JSON.stringify(await verify(`Bearer ${token}`))).not.toContain(token.slice(0, 20))
  })

  it('is not known while Google’s keys cannot be had', async () => {
    const lost = createPushIdentity({
      audience: OURS,
      caller: CALLER,
      keys: createGoogleKeys('http://127.0.0.1:9/certs'),
    })
    const token = await google.sign({ audience: OURS, claims })
    expect((await lost(`Bearer ${token}`)).verdict).toBe('unavailable')
    google.isDown = true
    const asked = createPushIdentity({
      audience: OURS,
      caller: CALLER,
      keys: createGoogleKeys(`${google.url}/oauth2/v3/certs`),
    })
    expect((await asked(`Bearer ${token}`)).verdict).toBe('unavailable')
    google.isDown = false
  })
})
