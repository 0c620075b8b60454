// Compute Engine's failures as StatusErrors: those of requests (HTTP) and those that a long-running
// operation ends with. Quota and stock-outs keep Google's text, because people must read it.

import { StatusError, type Reason } from '#shared/status.ts'

/** Codes of failed operations; anything else is a failure that may pass. */
const OPERATION_REASONS: Record<string, Reason> = {
  CONDITION_NOT_MET: 'Conflict',
  IAM_PERMISSION_DENIED: 'Forbidden',
  INVALID_FIELD_VALUE: 'BadRequest',
  INVALID_USAGE: 'BadRequest',
  PERMISSIONS_ERROR: 'Forbidden',
  QUOTA_EXCEEDED: 'Forbidden',
  RESOURCE_ALREADY_EXISTS: 'AlreadyExists',
  RESOURCE_IN_USE_BY_ANOTHER_RESOURCE: 'Conflict',
  RESOURCE_NOT_FOUND: 'NotFound',
  RESOURCE_OPERATION_RATE_EXCEEDED: 'TooManyRequests',
}

const HTTP_REASONS: Record<number, Reason> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'AlreadyExists',
  412: 'Conflict',
  429: 'TooManyRequests',
  504: 'Timeout',
}

/** Google's `reason` says more than the HTTP code. */
const GOOGLE_REASONS: Record<string, Reason> = {
  alreadyExists: 'AlreadyExists',
  conditionNotMet: 'Conflict',
  quotaExceeded: 'Forbidden',
  rateLimitExceeded: 'TooManyRequests',
  resourceInUseByAnotherResource: 'Conflict',
  resourceNotReady: 'ServiceUnavailable',
  userRateLimitExceeded: 'TooManyRequests',
}

/** `what` names the call: `insert zones/z/instanceGroupManagers/g`. */
export function toStatusError(error: unknown, what: string): StatusError {
  if (error instanceof StatusError) return error
  const { code, message, reason: googleReason } = partsOf(error)
  const reason =
    GOOGLE_REASONS[googleReason] ?? HTTP_REASONS[code] ?? ('ServiceUnavailable' satisfies Reason)
  // The client's own error is not kept as the cause: it holds the request's credentials.
  return statusError(reason, `${what}: ${message}`)
}

/** An operation that ended with an error. */
export function operationError(code: string, message: string, what: string): StatusError {
  const reason = OPERATION_REASONS[code] ?? 'ServiceUnavailable'
  return statusError(reason, `${what}: ${code}: ${message}`)
}

function statusError(reason: Reason, message: string): StatusError {
  const isTransient = reason === 'ServiceUnavailable' || reason === 'TooManyRequests'
  return new StatusError(reason, message, isTransient ? { retryAfterSeconds: 5 } : undefined)
}

/** The client throws GaxiosErrors: a numeric `code`, and the answer's JSON as the message. */
function partsOf(error: unknown): { code: number; message: string; reason: string } {
  const text = error instanceof Error ? error.message : String(error)
  const own = isRecord(error) ? Number(error['code']) : Number.NaN
  const body = parse(text)
  const inner = isRecord(body) ? body['error'] : undefined
  if (!isRecord(inner)) return { code: own, message: text, reason: '' }
  const [first] = Array.isArray(inner['errors']) ? inner['errors'] : []
  return {
    code: Number.isNaN(own) ? Number(inner['code']) : own,
    message: typeof inner['message'] === 'string' ? inner['message'] : text,
    reason: isRecord(first) && typeof first['reason'] === 'string' ? first['reason'] : '',
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
