// The public keys with which Google signs identity tokens: of service accounts (Pub/Sub push, Cloud
// Scheduler, Cloud Tasks) and of VMs.

import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'

export const GOOGLE_ISSUER = 'https://accounts.google.com'

const CERTS = 'https://www.googleapis.com/oauth2/v3/certs'
const TIMEOUT_MS = 5000

/** Fetched when first needed, kept, and fetched again (at most every 30 s) for an unknown key. */
export function createGoogleKeys(certsUrl: string = CERTS): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(certsUrl), { timeoutDuration: TIMEOUT_MS })
}
