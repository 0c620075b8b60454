// Every failure becomes a Kubernetes Status. What is not a StatusError is a bug: logged with its
// stack, answered without details. Who was turned away is logged as well: operators count it.

import type { Log } from '#shared/ports/log.ts'
import { StatusError } from '#shared/status.ts'

/** The log's message for a request that may not be; the GKE API's too. */
export const REFUSED = 'a request was refused'
const TEXT_MAX = 200

/** The answer to a request that failed. */
export function errorResponse(error: unknown, log: Log, fields: Record<string, unknown>): Response {
  if (error instanceof StatusError) {
    if (error.code === 401 || error.code === 403)
      log.warn(REFUSED, { ...shortened(fields), code: error.code })
    return statusResponse(error)
  }
  log.error('request failed unexpectedly', { ...fields, error })
  return statusResponse(
    new StatusError('InternalError', 'Internal error occurred: see the log of the api function', {
      causes: [{ message: 'unexpected failure' }],
    }),
  )
}

/** A path is as long as an attacker likes. */
function shortened(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.slice(0, TEXT_MAX) : value,
    ]),
  )
}

/** A StatusError on the wire; Retry-After makes client-go try again by itself. */
export function statusResponse(error: StatusError): Response {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  const retryAfter = error.details?.retryAfterSeconds ?? (error.code === 503 ? 1 : undefined)
  if (retryAfter !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfter)))
  return new Response(`${JSON.stringify(error)}\n`, { status: error.code, headers })
}

/** 404 of a path that nobody serves. Clients read its details, which are empty, without looking. */
export function unknownPath(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', {})
}

/** 405 in Kubernetes' words. */
export function methodNotAllowed(): StatusError {
  return new StatusError(
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  )
}

/** 400 with this message. */
export function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', message)
}

/** 403 in Kubernetes' words: `pods "x" is forbidden: why`. */
export function forbidden(resource: string, name: string, why: string): StatusError {
  const dot = resource.indexOf('.')
  const [kind, group] =
    dot < 0 ? [resource, undefined] : [resource.slice(0, dot), resource.slice(dot + 1)]
  const subject = name ? `${resource} "${name}"` : resource
  return new StatusError('Forbidden', `${subject} is forbidden: ${why}`, {
    ...(name ? { name } : {}),
    ...(group ? { group } : {}),
    kind,
  })
}
