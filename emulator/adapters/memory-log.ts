// A log that keeps its entries, for tests that look at what was said.

import { cleanFields } from '#functions/adapters/log-line.ts'
import type { Severity } from '#functions/adapters/log-line.ts'
import type { Log, LogFields } from '#shared/ports/log.ts'

export interface LogEntry {
  severity: Severity
  message: string
  fields: LogFields
}

export interface MemoryLog extends Log {
  readonly entries: readonly LogEntry[]
}

/** Keeps the newest `limit` entries. */
export function createMemoryLog({ limit = 10_000 }: { limit?: number } = {}): MemoryLog {
  const entries: LogEntry[] = []
  const add = (severity: Severity, message: string, fields: LogFields = {}): void => {
    entries.push({ severity, message, fields: cleanFields(fields) })
    if (entries.length > limit) entries.shift()
  }
  return {
    entries,
    info: (message, fields) => add('INFO', message, fields),
    warn: (message, fields) => add('WARNING', message, fields),
    error: (message, fields) => add('ERROR', message, fields),
  }
}
