// What is made of a VM that fails its health check while Compute Engine says that it runs. The check may
// be wrong: its prober may be cut off, or packets get lost. So the agent is asked by the other way, on
// which it speaks to the API: the question stands in its Node, and it answers there. Who answers keeps
// its pods; who is silent is lost. A write for each question and answer, none while all is well. Pure.

import { conditionOf } from '../api/conditions.ts'
import { ANSWERED_ANNOTATION, ASKED_ANNOTATION, type Node } from '../api/node.ts'
import { formatMicroTime, parseTime } from '../time.ts'

/** Type of the Node's condition while its VM fails its health check. */
export const HEALTH_CHECK_FAILING = 'HealthCheckFailing'
/** Its reasons. The last two keep in mind that this began when most nodes failed, or all of them. */
export const FAILS_ALONE = 'HealthCheckFailing'
export const FAILS_WITH_MANY = 'ManyHealthChecksFailing'
export const FAILS_AFTER_MANY = 'HealthCheckStillFailing'

/** How long the first answer may take: a message, two requests, and packets that are sent again. */
export const ANSWER_MS = 5000
/** One that has answered is asked again, and may take its time. */
export const ASK_AGAIN_MS = 30_000
export const ANSWER_AGAIN_MS = 10_000
/**
 * When others are well again after many failed, the rest has so long to follow, counted anew: what they
 * had in common ends for one sooner than for another. Kubernetes likewise forgets how long nodes have
 * been silent when a full disruption ends.
 */
export const AFTER_MANY_MS = 30_000
/** So long an answer is worth something, also when the check passed and fails again. */
export const RECENT_MS = 60_000
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
    return question(now, answeredAtMs, ANSWER_MS)
  }
  const endsAtMs = since + DISPUTE_MS
  if (now >= endsAtMs) return { is: 'silent' }
  if (answered === asked) {
    const againAtMs = askedAtMs + ASK_AGAIN_MS
    return now >= againAtMs
      ? question(now, answeredAtMs, ANSWER_MS)
      : { is: 'answered', nextAtMs: Math.min(againAtMs, endsAtMs) }
  }
  const patienceMs = failing?.reason === FAILS_AFTER_MANY ? AFTER_MANY_MS : ANSWER_MS
  const { is, nextAtMs } = question(askedAtMs, answeredAtMs, patienceMs)
  return now >= nextAtMs ? { is: 'silent' } : { is, nextAtMs }
}

/** True when this one was silent, like most nodes or all of them, at the last look at it. */
export function wasSilentWithMany(node: Node): boolean {
  const failing = conditionOf(node, HEALTH_CHECK_FAILING)
  return failing?.status === 'True' && failing.reason === FAILS_WITH_MANY
}

/** Of a Node that was silent with many and still fails when others do not: it is asked anew. */
export function suspicionAfterMany(node: Node, now: number): Suspicion {
  const answeredAtMs = parseTime(node.metadata.annotations?.[ANSWERED_ANNOTATION]) ?? 0
  return question(now, answeredAtMs, AFTER_MANY_MS)
}

/** A question put at `now`. Who has answered lately is believed until the next answer is late. */
function question(
  now: number,
  answeredAtMs: number,
  patienceMs: number,
): { is: 'asked' | 'answered'; askedAt: string; nextAtMs: number } {
  const isKnown = now - answeredAtMs < RECENT_MS
  return {
    is: isKnown ? 'answered' : 'asked',
    askedAt: formatMicroTime(now * 1000),
    nextAtMs: now + (isKnown ? Math.max(ANSWER_AGAIN_MS, patienceMs) : patienceMs),
  }
}
