// The `continue` token of paged lists: which version the pages are of, and the key to go on after.
// It carries everything itself, so that any instance can serve the next page at any time.

import type { Key } from '#shared/key.ts'
import type { Version } from '#shared/ports/store.ts'
import { badRequest } from './errors.ts'

export interface ContinueToken {
  /** The version all pages are of; undefined: the newest (after an Expired answer). */
  version: Version | undefined
  /** The last key that was sent. */
  after: Key
}

/** The token as clients carry it: opaque, safe in a URL. */
export function encodeContinue({ version, after }: ContinueToken): string {
  return toBase64Url(JSON.stringify({ v: 'wherry.dev/v1', rv: version ?? '', start: after }))
}

/** Error: BadRequest when it is no token of ours. */
export function decodeContinue(text: string): ContinueToken {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    throw invalidToken()
  }
  if (typeof parsed !== 'object' || parsed === null) throw invalidToken()
  const { v, rv, start } = parsed as Record<string, unknown>
  if (v !== 'wherry.dev/v1' || typeof rv !== 'string' || typeof start !== 'string' || !start) {
    throw invalidToken()
  }
  if (rv !== '' && !/^\d{16}$/.test(rv)) throw invalidToken()
  return { version: rv === '' ? undefined : rv, after: start }
}

function invalidToken(): Error {
  return badRequest('continue key is not valid: it was not made by this server')
}

function toBase64Url(text: string): string {
  return Buffer.from(text).toString('base64url')
}
