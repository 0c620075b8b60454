// Structured logging on Google Cloud: one JSON object a line on standard output, which Cloud Run's
// logging agent turns into entries.

import { formatLogLine } from './log-line.ts'
import type { Severity } from './log-line.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log, LogFields } from '#shared/ports/log.ts'

export interface CloudLogOptions {
  clock: Pick<Clock, 'now'>
  /** Takes one line with its line break. Default: standard output. */
  write?: (line: string) => void
  /** Added to every entry, e.g. the function's name. */
  fields?: LogFields
}

/** A log that Cloud Logging understands. */
export function createCloudLog({
  clock,
  write = (line) => void process.stdout.write(line),
  fields: always = {},
}: CloudLogOptions): Log {
  const say = (severity: Severity, message: string, fields: LogFields | undefined): void =>
    write(`${formatLogLine(severity, message, { ...always, ...fields }, clock.now())}\n`)
  return {
    info: (message, fields) => say('INFO', message, fields),
    warn: (message, fields) => say('WARNING', message, fields),
    error: (message, fields) => say('ERROR', message, fields),
  }
}
