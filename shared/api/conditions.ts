// Status conditions of any kind, read and replaced. lastTransitionTime moves only when status does.

import { formatTime } from '../time.ts'
import type { Condition } from './meta.ts'

/** The condition of this type, if it is there. */
export function conditionOf(
  holder: { status?: { conditions?: Condition[] } },
  type: string,
): Condition | undefined {
  return holder.status?.conditions?.find((condition) => condition.type === type)
}

/**
 * The list with `condition` in the place of the one of its type, or at the end. The time of the last
 * transition is `now` (ms) when the status differs from before, else what it was; a condition that
 * changes nothing answers a list that is deeply equal to the old one.
 */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  condition: Condition,
  now: number,
): Condition[] {
  const list = conditions ?? []
  const index = list.findIndex((each) => each.type === condition.type)
  const old = list[index]
  const hasMoved = old?.status !== condition.status
  const lastTransitionTime =
    (hasMoved ? condition.lastTransitionTime : old?.lastTransitionTime) ?? formatTime(now)
  const next: Condition = { ...condition, lastTransitionTime }
  if (!old) return [...list, next]
  return list.map((each, at) => (at === index ? next : each))
}
