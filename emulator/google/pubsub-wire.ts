// The shapes of Pub/Sub's gRPC messages as our server sees them (proto-loader with camelCase names,
// 64-bit numbers as texts, defaults filled in).

export interface WireDuration {
  seconds: string
  nanos: number
}

export interface WireMessage {
  data: Buffer
  attributes: Record<string, string>
  messageId: string
  publishTime: WireDuration | null
  orderingKey: string
}

export interface WireTopic {
  name: string
}

export interface WireSubscription {
  name: string
  topic: string
  pushConfig: { pushEndpoint: string } | null
  ackDeadlineSeconds: number
  messageRetentionDuration: WireDuration | null
  enableMessageOrdering: boolean
  filter: string
  retryPolicy: { minimumBackoff: WireDuration | null; maximumBackoff: WireDuration | null } | null
}

export interface WireReceived {
  ackId: string
  message: WireMessage
  deliveryAttempt: number
}

export interface WirePullRequest {
  subscription: string
  ackIds: string[]
  modifyDeadlineSeconds: number[]
  modifyDeadlineAckIds: string[]
  streamAckDeadlineSeconds: number
  maxOutstandingMessages: string
}

/** A refusal with its gRPC code. */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Milliseconds of a duration, or `otherwise` when it is not given. */
export function durationMs(duration: WireDuration | null | undefined, otherwise: number): number {
  if (!duration) return otherwise
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6
}

/** A time in milliseconds as a protobuf Timestamp. */
export function toTimestamp(ms: number): WireDuration {
  const seconds = Math.floor(ms / 1000)
  return { seconds: String(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) }
}
