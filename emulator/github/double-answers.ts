// What all parts of the GitHub of this machine answer alike.

import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import type { RepositoryDouble } from './double.ts'

/** The repository that a request names. */
export type Of = (c: Context) => RepositoryDouble | undefined

export const AT = '/repos/:owner/:name'

/** As GitHub answers what is not there, or not to be seen. */
export function missing(c: Context): Response {
  return c.json({ message: 'Not Found' }, 404)
}

/** 304 when the client has it already. */
export function tagged(c: Context, body: unknown): Response {
  const text = JSON.stringify(body)
  const etag = `W/"${createHash('sha256').update(text).digest('hex')}"`
  if (c.req.header('if-none-match') === etag) return new Response(null, { status: 304 })
  return new Response(text, { headers: { 'content-type': 'application/json', etag } })
}
