// What bounds one reconcile pass. What does not fit goes on in the next pass, at once.

export interface Limits {
  /** Objects in one commit, Events included; a little more when the last outcome overshoots. */
  writes: number
  /** JSON characters of the objects in one commit. The log keeps each up to twice more. */
  bytes: number
  /** Calls of controllers in one pass. */
  steps: number
  /** Calls for one key in one pass; more means that controllers disagree for ever. */
  stepsPerKey: number
}

export const DEFAULT_LIMITS: Limits = {
  writes: 400,
  bytes: 700_000,
  steps: 200_000,
  stepsPerKey: 100,
}

/** The most writes one outcome should hold; a controller with more to do is asked again. */
export const WRITES_PER_OUTCOME = 100
