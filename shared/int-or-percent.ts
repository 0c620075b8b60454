// Numbers that may be percentages (maxSurge, maxUnavailable, minAvailable), resolved and rounded.

import { IS_NEGATIVE, invalidValue } from './api/field-error.ts'
import type { FieldPath } from './api/field-error.ts'
import type { Cause } from './status.ts'

const PERCENT = /^([0-9]+)%$/

/** The number that `value` means for `total`; undefined when it is neither a number nor a percentage. */
export function resolveIntOrPercent(
  value: number | string,
  total: number,
  rounding: 'up' | 'down',
): number | undefined {
  if (typeof value === 'number') return value
  const match = PERCENT.exec(value)
  if (!match) return undefined
  const exact = (Number(match[1]) * total) / 100
  return rounding === 'up' ? Math.ceil(exact) : Math.floor(exact)
}

/**
 * How many pods a rolling update may have too many and too few. Surge is rounded up, unavailable
 * down, and when both come out as 0 one may be missing: else nothing could ever move.
 */
export function resolveRollingUpdate(
  maxSurge: number | string | undefined,
  maxUnavailable: number | string | undefined,
  replicas: number,
): { surge: number; unavailable: number } {
  const surge = resolveIntOrPercent(maxSurge ?? '25%', replicas, 'up') ?? 0
  const unavailable = resolveIntOrPercent(maxUnavailable ?? '25%', replicas, 'down') ?? 0
  if (surge === 0 && unavailable === 0) return { surge: 0, unavailable: 1 }
  return { surge, unavailable: Math.min(unavailable, replicas) }
}

/** What is wrong with a number that may be a percentage, in Kubernetes' words. */
export function validateIntOrPercent(field: FieldPath, value: unknown): Cause[] {
  if (typeof value === 'number') {
    return value < 0 ? [invalidValue(field, value, IS_NEGATIVE)] : []
  }
  if (typeof value === 'string' && PERCENT.test(value)) return []
  return [
    invalidValue(
      field,
      value,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')",
    ),
  ]
}

/** What is wrong with a percentage above 100% where that makes no sense. */
export function validateAtMostHundredPercent(field: FieldPath, value: unknown): Cause[] {
  const match = typeof value === 'string' ? PERCENT.exec(value) : null
  if (!match || Number(match[1]) <= 100) return []
  return [invalidValue(field, value, 'must not be greater than 100%')]
}
