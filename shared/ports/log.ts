// The Log port: structured lines for operators. Drivers: functions/adapters/cloud-log.ts (JSON that
// Cloud Logging parses), emulator/adapters/file-log.ts, memory for tests. Contract: test/contract/log.ts.

/** Values must be safe to print: never a token, a Secret's data or a request body. */
export type LogFields = Record<string, unknown>

export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  /** `fields.error` may be an Error: its stack is kept. */
  error(message: string, fields?: LogFields): void
}
