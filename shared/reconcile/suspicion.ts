// What is made of a VM that fails its health check while Compute Engine says that it runs. The check may
// be wrong: its prober may be cut off, or packets get lost. So the agent is asked by the other way, on
// which it speaks to the API: the question stands in its Node, and it answers there. Who answers keeps
// its pods; who is silent is lost. A write for each question and answer, none while all is well. Pure.

import { conditionOf } from '../api/conditions.ts'
import { ANSWERED_ANNOTATION, ASKED_ANNOTATION, type Node } from '../api/node.ts'
import { formatMicroTime, parseTime } from '../time.ts'

/** Type of the Node's condition while its VM fails its health check. */
export const HEALTH_CHECK_FAILING = 'HealthCheckFailing'

/** How long the first answer may take: a message, two requests, and packets that are sent again. */
export const ANSWER_MS = 5000
/** One that has answered is asked again, and may take its time. */
export const ASK_AGAIN_MS = 30_000
export const ANSWER_AGAIN_MS = 10_000
/** So long an answer is worth something, also when the check passed and fails again. */
const RECENT_MS = 60_000
/**
 * Whoever fails its health check for so long is lost in spite of its answers: nobody reaches it from
 * outside. As the five minutes for which Kubernetes' pods bear an unreachable node.
 */
export const DISPUTE_MS = 300_000

export interface Suspicion {
  /** It is asked for the first time; it has answered; or it has not, or not for long enough. */
  is: 'asked' | 'answered' | 'silent'
  /** To be put into the Node's annotation: the question is new. */
  askedAt?: string
  /** When this changes if nothing happens (ms). */
  nextAtMs?: number
}

/** Of a Node whose VM fails its health check now. */
export function suspicionOf(node: Node, now: number): Suspicion {
  const failing = conditionOf(node, HEALTH_CHECK_FAILING)
  const since = failing?.status === 'True' ? parseTime(failing.lastTransitionTime) : undefined
  const { [ASKED_ANNOTATION]: asked, [ANSWERED_ANNOTATION]: answered } =
    node.metadata.annotations ?? {}
  const askedAtMs = parseTime(asked)
  const answeredAtMs = parseTime(answered) ?? 0
  // Of an earlier suspicion, or none.
  if (since === undefined || askedAtMs === undefined || askedAtMs < since) {
    return question(now, answeredAtMs)
  }
  const endsAtMs = since + DISPUTE_MS
  if (now >= endsAtMs) return { is: 'silent' }
  if (answered === asked) {
    const againAtMs = askedAtMs + ASK_AGAIN_MS
    return now >= againAtMs
      ? question(now, answeredAtMs)
      : { is: 'answered', nextAtMs: Math.min(againAtMs, endsAtMs) }
  }
  const { is, nextAtMs } = question(askedAtMs, answeredAtMs)
  return now >= nextAtMs ? { is: 'silent' } : { is, nextAtMs }
}

/** A question put at `now`. Who has answered lately is believed until the next answer is late. */
function question(
  now: number,
  answeredAtMs: number,
): { is: 'asked' | 'answered'; askedAt: string; nextAtMs: number } {
  const isKnown = now - answeredAtMs < RECENT_MS
  return {
    is: isKnown ? 'answered' : 'asked',
    askedAt: formatMicroTime(now * 1000),
    nextAtMs: now + (isKnown ? ANSWER_AGAIN_MS : ANSWER_MS),
  }
}
