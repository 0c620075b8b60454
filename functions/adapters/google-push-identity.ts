// Whether a call comes from Google on our behalf: Pub/Sub push, Cloud Scheduler and Cloud Tasks sign
// each call with an OIDC token of the service account that infra/ made for it.
// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions

import { errors, jwtVerify, type JWTVerifyGetKey } from 'jose'
import { GOOGLE_ISSUER } from './google-keys.ts'

export interface PushIdentityOptions {
  /** The function's own URL: a token for another function is of no use here. */
  audience: string
  /** E-mail of the only service account that may call. */
  caller: string
  keys: JWTVerifyGetKey
}

/** `accepted`, or why not; `unavailable`: Google's keys could not be had, so nothing is known. */
export type PushVerdict =
  | { verdict: 'accepted' }
  | { verdict: 'refused' | 'unavailable'; why: string }

/** What jose throws for a token that is wrong; everything else is about fetching the keys. */
const WRONG_TOKEN = [
  errors.JWTClaimValidationFailed,
  errors.JWTExpired,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
]

const TOKEN_MAX = 8192

/** Answers for the value of an Authorization header. The reasons never quote the token. */
export function createPushIdentity(
  options: PushIdentityOptions,
): (authorization: string | undefined) => Promise<PushVerdict> {
  const { audience, caller, keys } = options
  return async (authorization = '') => {
    const token = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization)?.[1]
    if (!token || token.length > TOKEN_MAX) return refused('no identity token')
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ['RS256'],
        issuer: GOOGLE_ISSUER,
        audience,
        requiredClaims: ['exp', 'iat', 'email'],
        clockTolerance: 30,
      })
      if (payload['email_verified'] !== true) return refused('the e-mail is not verified')
      if (payload['email'] !== caller) return refused('another account than the one expected')
      return { verdict: 'accepted' }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const isWrong = WRONG_TOKEN.some((kind) => error instanceof kind)
      return isWrong ? refused(why) : { verdict: 'unavailable', why }
    }
  }
}

function refused(why: string): PushVerdict {
  return { verdict: 'refused', why }
}
