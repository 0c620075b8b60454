// The errors of Compute Engine's REST API, in Google's own words: what a request is refused with
// (`{error: {code, message, errors, status}}`), and what a long-running operation ends with.

/** HTTP code, reason, canonical status and operation error code of each kind of refusal. */
const KINDS = {
  notFound: { code: 404, status: 'NOT_FOUND', operationCode: 'RESOURCE_NOT_FOUND' },
  alreadyExists: { code: 409, status: 'ALREADY_EXISTS', operationCode: 'RESOURCE_ALREADY_EXISTS' },
  conditionNotMet: {
    code: 412,
    status: 'FAILED_PRECONDITION',
    operationCode: 'CONDITION_NOT_MET',
  },
  invalid: { code: 400, status: 'INVALID_ARGUMENT', operationCode: 'INVALID_FIELD_VALUE' },
  required: { code: 400, status: 'INVALID_ARGUMENT', operationCode: 'REQUIRED' },
  resourceInUseByAnotherResource: {
    code: 400,
    status: 'INVALID_ARGUMENT',
    operationCode: 'RESOURCE_IN_USE_BY_ANOTHER_RESOURCE',
  },
  resourceNotReady: {
    code: 400,
    status: 'INVALID_ARGUMENT',
    operationCode: 'RESOURCE_NOT_READY',
  },
  limitExceeded: { code: 403, status: 'PERMISSION_DENIED', operationCode: 'LIMIT_EXCEEDED' },
  quotaExceeded: { code: 403, status: 'PERMISSION_DENIED', operationCode: 'QUOTA_EXCEEDED' },
  resourcePoolExhausted: {
    code: 503,
    status: 'UNAVAILABLE',
    operationCode: 'ZONE_RESOURCE_POOL_EXHAUSTED',
  },
  internalError: { code: 500, status: 'INTERNAL', operationCode: 'INTERNAL_ERROR' },
} as const

export type GoogleReason = keyof typeof KINDS

/** A refusal. Anything else that is thrown in the emulator is a bug and answered as 500. */
export class GoogleError extends Error {
  override readonly name = 'GoogleError'
  readonly reason: GoogleReason

  constructor(reason: GoogleReason, message: string) {
    super(message)
    this.reason = reason
  }

  get code(): 400 | 403 | 404 | 409 | 412 | 500 | 503 {
    return KINDS[this.reason].code
  }

  /** How an operation names it. */
  get operationCode(): string {
    return KINDS[this.reason].operationCode
  }

  toJSON(): { error: object } {
    const { code, message, reason } = this
    return {
      error: {
        code,
        message,
        errors: [{ message, domain: 'global', reason }],
        status: KINDS[reason].status,
      },
    }
  }
}

/** `path` is `projects/p/zones/z/instances/x`. */
export function resourceNotFound(path: string): GoogleError {
  return new GoogleError('notFound', `The resource '${path}' was not found`)
}

export function resourceExists(path: string): GoogleError {
  return new GoogleError('alreadyExists', `The resource '${path}' already exists`)
}

export function invalidField(field: string, value: string, why: string): GoogleError {
  return new GoogleError('invalid', `Invalid value for field '${field}': '${value}'. ${why}`)
}

export function resourceInUse(path: string, by: string): GoogleError {
  return new GoogleError(
    'resourceInUseByAnotherResource',
    `The resource '${path}' is already being used by '${by}'`,
  )
}
