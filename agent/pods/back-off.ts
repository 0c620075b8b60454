// Kubernetes' exponential back-off (client-go flowcontrol.Backoff): 10 s, doubling, at most 5 min,
// forgotten when the last one is more than 10 minutes before the next failure.

export interface BackOff {
  /** How long to wait after a failure; 0: nothing failed lately. */
  readonly ms: number
  /** When it was last raised. */
  readonly raisedAt: number
}

export const NO_BACK_OFF: BackOff = { ms: 0, raisedAt: 0 }

const FIRST_MS = 10_000
const MAX_MS = 300_000

/** The earliest time of the next try after a failure at `failedAt`: at once the first time. */
export function nextTryAt(backOff: BackOff, failedAt: number): number {
  return isForgotten(backOff, failedAt) ? failedAt : failedAt + backOff.ms
}

/** The back-off after one more try that follows a failure at `failedAt` and happens at `now`. */
export function raise(backOff: BackOff, failedAt: number, now: number): BackOff {
  const ms = isForgotten(backOff, failedAt) ? FIRST_MS : Math.min(backOff.ms * 2, MAX_MS)
  return { ms, raisedAt: now }
}

function isForgotten(backOff: BackOff, failedAt: number): boolean {
  return backOff.ms === 0 || failedAt - backOff.raisedAt > 2 * MAX_MS
}

/** `10s`, `1m20s`, `5m0s`: Go's way to print a duration of whole seconds. */
export function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
