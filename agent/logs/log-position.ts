// Where a container's log on disk ends: from there on a runtime that kept the output is asked again
// after the agent was away.

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import type { LogPosition } from '../runtime/runtime.ts'

const READ_BYTES = 1024 * 1024
/** Two streams are written side by side: a line of one may be this much older than what precedes it. */
const SLACK_MS = 1000

/** The times of the last lines; those of a stream that printed nothing lately are undefined. */
export function positionOf(path: string): LogPosition {
  const position: LogPosition = { stdout: undefined, stderr: undefined }
  for (const file of [path, `${path}.1`]) {
    if (!existsSync(file)) continue
    const lines = lastText(file).split('\n')
    for (let index = lines.length - 1; index >= 0; index--) {
      const [time = '', stream] = (lines[index] ?? '').split(' ', 2)
      if (stream !== 'stdout' && stream !== 'stderr') continue
      if (isBefore(time, position)) return position
      position[stream] ??= time
    }
    if (position.stdout ?? position.stderr) return position
  }
  return position
}

/** From when to ask for more, in milliseconds; 0: from the beginning. */
export function resumeTime({ stdout = '', stderr = '' }: LogPosition): number {
  const last = stdout > stderr ? stdout : stderr
  return last === '' ? 0 : Math.max(0, Date.parse(last) - SLACK_MS)
}

function isBefore(time: string, position: LogPosition): boolean {
  const from = resumeTime(position)
  return from > 0 && Date.parse(time) < from
}

function lastText(file: string): string {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    const buffer = Buffer.alloc(Math.min(size, READ_BYTES))
    readSync(fd, buffer, 0, buffer.length, size - buffer.length)
    return buffer.toString('utf8')
  } finally {
    closeSync(fd)
  }
}
