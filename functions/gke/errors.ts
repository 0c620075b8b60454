// Failures of the GKE API, as Google words and shapes them. gcloud prints only the message.

import type { ContentfulStatusCode } from 'hono/utils/http-status'

const HTTP = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
} as const

export type GoogleStatus = keyof typeof HTTP

/** An expected refusal of the GKE API. gcloud retries 429, 500 and 501 for half a minute. */
export class GoogleError extends Error {
  override readonly name = 'GoogleError'
  readonly status: GoogleStatus

  constructor(status: GoogleStatus, message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }

  get code(): ContentfulStatusCode {
    return HTTP[this.status]
  }

  toJSON(): { error: { code: number; message: string; status: GoogleStatus } } {
    return { error: { code: this.code, message: this.message, status: this.status } }
  }
}

/** `Not found: projects/p/zones/z/clusters/c.` */
export function clusterNotFound(project: string, location: string, name: string): GoogleError {
  return new GoogleError(
    'NOT_FOUND',
    `Not found: projects/${project}/zones/${location}/clusters/${name}.`,
  )
}
