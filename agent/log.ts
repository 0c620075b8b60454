// The agent's own log: one JSON line each, as Cloud Logging reads them from a VM's output.

import type { Log, LogFields } from '#shared/ports/log.ts'

/** Writes lines through `write`. */
export function createLineLog(write: (line: string) => void): Log {
  const line = (severity: string, message: string, fields: LogFields = {}): void => {
    const shown = Object.fromEntries(
      Object.entries(fields).map(([key, value]) => [
        key,
        value instanceof Error ? (value.stack ?? value.message) : value,
      ]),
    )
    write(`${JSON.stringify({ time: new Date().toISOString(), severity, message, ...shown })}\n`)
  }
  return {
    info: (message, fields) => line('INFO', message, fields),
    warn: (message, fields) => line('WARNING', message, fields),
    error: (message, fields) => line('ERROR', message, fields),
  }
}
