// The end of a log as a termination message (terminationMessagePolicy: FallbackToLogsOnError).

import { closeSync, readSync } from 'node:fs'
import { openAll } from './log-file.ts'

const LINES_MAX = 80
const BYTES_MAX = 2048
/** Room for the time stamps of that many bytes of text. */
const READ_BYTES = 16 * 1024

/** At most the last 80 lines or 2048 bytes. */
export function lastLines(path: string): string {
  const files = openAll(path)
  try {
    const last = files.at(-1)
    if (!last) return ''
    const from = Math.max(0, last.size - READ_BYTES)
    const buffer = Buffer.alloc(last.size - from)
    readSync(last.fd, buffer, 0, buffer.length, from)
    const lines = buffer
      .toString()
      .split('\n')
      .slice(from > 0 ? 1 : 0)
    const text = lines
      .filter((line) => line !== '')
      .slice(-LINES_MAX)
      .map((line) => `${line.split(' ').slice(3).join(' ')}\n`)
      .join('')
    return Buffer.from(text).subarray(-BYTES_MAX).toString()
  } finally {
    for (const { fd } of files) closeSync(fd)
  }
}
