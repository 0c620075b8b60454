// The log of `npm start`: JSON lines in a file of .wherry/, the same that Cloud Logging would get.
// Bounded: a full file becomes NAME.1 and replaces the one before it.

import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { createCloudLog } from '#functions/adapters/cloud-log.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log, LogFields } from '#shared/ports/log.ts'

export interface FileLogOptions {
  path: string
  clock: Pick<Clock, 'now'>
  /** Of one file; there are at most two. */
  maxBytes?: number
  fields?: LogFields
}

/** Appends to `path`. A disk that refuses loses lines, it never stops the program. */
export function createFileLog({
  path,
  clock,
  maxBytes = 10_000_000,
  fields = {},
}: FileLogOptions): Log {
  mkdirSync(dirname(path), { recursive: true })
  let size = sizeOf(path)
  const write = (line: string): void => {
    const bytes = Buffer.byteLength(line)
    try {
      if (size > 0 && size + bytes > maxBytes) {
        renameSync(path, `${path}.1`)
        size = 0
      }
      appendFileSync(path, line)
      size += bytes
    } catch {
      size = sizeOf(path)
    }
  }
  return createCloudLog({ clock, write, fields })
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
