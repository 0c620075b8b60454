// What a log line may hold: any field as JSON, errors with their stack, nothing secret, bounded.
// Cloud Logging reads `severity`, `message`, `time` and `stack_trace` of a JSON line by themselves.

import { formatMicroTime } from '#shared/time.ts'
import type { LogFields } from '#shared/ports/log.ts'

export type Severity = 'INFO' | 'WARNING' | 'ERROR'

const SECRET_KEY =
  /token|secret|passw|authorization|credential|cookie|private_?key|api_?key|client_?key/i
const BEARER = /\b(Bearer|Basic)\s+[\w.~+/=-]{6,}/gi
const REDACTED = '[redacted]'

/** Cloud Logging refuses an entry above 256 KB. */
const TEXT_MAX = 32_768
const DEPTH_MAX = 6
const ITEMS_MAX = 100

/** Keys that the line uses itself; a field of that name gets an underscore. */
const OWN_KEYS = new Set(['severity', 'message', 'time', 'stack_trace'])

/** One line of JSON, without the line break. Never throws. */
export function formatLogLine(
  severity: Severity,
  message: string,
  fields: LogFields | undefined,
  nowMs: number,
): string {
  const line: Record<string, unknown> = {
    severity,
    time: formatMicroTime(nowMs * 1000),
    message: cleanText(message),
  }
  const stack = fields?.['error'] instanceof Error ? fields['error'].stack : undefined
  if (stack) line['stack_trace'] = cleanText(stack)
  for (const [key, value] of Object.entries(cleanFields(fields ?? {}))) {
    line[OWN_KEYS.has(key) ? `_${key}` : key] = value
  }
  return JSON.stringify(line)
}

/** A copy that can be printed: secrets replaced, errors and other classes as plain data, bounded. */
export function cleanFields(fields: LogFields): LogFields {
  return cleanEntries(Object.entries(fields), 0)
}

function cleanEntries(entries: [string, unknown][], depth: number): Record<string, unknown> {
  return Object.fromEntries(
    entries
      .slice(0, ITEMS_MAX)
      .map(([key, value]) => [key, SECRET_KEY.test(key) ? hide(value) : clean(value, depth)]),
  )
}

/** A number or a yes/no under such a key (`tokens: 3`) gives nothing away. */
function hide(value: unknown): unknown {
  const isHarmless =
    value === undefined || value === null || typeof value === 'number' || typeof value === 'boolean'
  return isHarmless ? value : REDACTED
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'boolean' || value === null || value === undefined) return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object') return `[${typeof value}]`
  if (depth >= DEPTH_MAX) return '[deeper]'
  if (value instanceof Error) return cleanError(value, depth)
  if (Array.isArray(value)) {
    return value.slice(0, ITEMS_MAX).map((item: unknown) => clean(item, depth + 1))
  }
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (value instanceof Map) return cleanEntries(mapEntries(value), depth + 1)
  if (value instanceof Set) return clean([...value], depth)
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  }
  return cleanEntries(Object.entries(value), depth + 1)
}

function mapEntries(map: Map<unknown, unknown>): [string, unknown][] {
  return [...map].map(([key, value]) => [String(key), value])
}

function cleanError(error: Error, depth: number): Record<string, unknown> {
  return {
    name: error.name,
    message: cleanText(error.message),
    ...(error.stack ? { stack: cleanText(error.stack) } : {}),
    ...('code' in error ? { code: clean(error.code, depth + 1) } : {}),
    ...(error.cause === undefined ? {} : { cause: clean(error.cause, depth + 1) }),
  }
}

function cleanText(text: string): string {
  const safe = text.replace(BEARER, `$1 ${REDACTED}`)
  return safe.length > TEXT_MAX ? `${safe.slice(0, TEXT_MAX)}… (${safe.length} characters)` : safe
}
