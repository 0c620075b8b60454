// Every expected failure in Wherry is a StatusError, and every StatusError is a Kubernetes Status.
// Anything else that is thrown is a bug: it is logged with its stack and answered as InternalError.

/** The reasons Wherry uses and the HTTP code of each: one table, so that neither can drift. */
export const HTTP_CODE = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type Reason = keyof typeof HTTP_CODE

/** One thing that is wrong with a request, as kubectl prints it: `* field: message`. */
export interface Cause {
  reason?: string
  message: string
  field?: string
}

/** What a Status says beside its message. `kind` is the plural resource, except for Invalid. */
export interface StatusDetails {
  name?: string
  group?: string
  kind?: string
  uid?: string
  causes?: Cause[]
  retryAfterSeconds?: number
}

/** The wire form of a failure (or a success of delete), as apimachinery's metav1.Status. */
export interface Status {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: Record<string, unknown>
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: StatusDetails
  code: number
}

/** An expected refusal. `message` is in Kubernetes' own words, because kubectl prints it. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly reason: Reason
  readonly details: StatusDetails | undefined

  constructor(reason: Reason, message: string, details?: StatusDetails, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
    this.details = details
  }

  get code(): number {
    return HTTP_CODE[this.reason]
  }

  /** The body that is sent as it stands. */
  toJSON(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    }
  }
}

/** True when `error` is a StatusError with this reason. */
export function isReason(error: unknown, reason: Reason): error is StatusError {
  return error instanceof StatusError && error.reason === reason
}

/** `deployments.apps` → its two parts, as Status details want them. */
function splitResource(resource: string): { plural: string; group: string } {
  const dot = resource.indexOf('.')
  return dot < 0
    ? { plural: resource, group: '' }
    : { plural: resource.slice(0, dot), group: resource.slice(dot + 1) }
}

/** `deployments.apps "web" not found`. `resource` is plural, with the group where it has one. */
export function notFound(resource: string, name: string): StatusError {
  const { plural, group } = splitResource(resource)
  return new StatusError('NotFound', `${resource} "${name}" not found`, {
    name,
    ...(group ? { group } : {}),
    kind: plural,
  })
}

/** `configmaps "c" already exists`. */
export function alreadyExists(resource: string, name: string): StatusError {
  const { plural, group } = splitResource(resource)
  return new StatusError('AlreadyExists', `${resource} "${name}" already exists`, {
    name,
    ...(group ? { group } : {}),
    kind: plural,
  })
}

/** The refusal of a write whose version has moved, in Kubernetes' words. */
export function conflict(resource: string, name: string, why?: string): StatusError {
  const { plural, group } = splitResource(resource)
  const reason =
    why ??
    'the object has been modified; please apply your changes to the latest version and try again'
  return new StatusError(
    'Conflict',
    `Operation cannot be fulfilled on ${resource} "${name}": ${reason}`,
    { name, ...(group ? { group } : {}), kind: plural },
  )
}

/** `Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1: …, …]`. */
export function invalid(kind: string, group: string, name: string, causes: Cause[]): StatusError {
  const shown = causes.map((cause) =>
    cause.field ? `${cause.field}: ${cause.message}` : cause.message,
  )
  const list = shown.length === 1 ? shown[0] : `[${shown.join(', ')}]`
  return new StatusError(
    'Invalid',
    `${group ? `${kind}.${group}` : kind} "${name}" is invalid: ${list}`,
    {
      name,
      ...(group ? { group } : {}),
      kind,
      causes,
    },
  )
}
