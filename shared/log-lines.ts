// How a container's stored log is shown: the format of the container runtime interface
// (`2026-11-22T15:04:05.123456789Z stdout F text`) and the options of `kubectl logs`. The agent reads its
// files with it, the api function what it keeps.

import { parseTime } from './time.ts'

export interface LineOptions {
  timestamps: boolean
  /** Milliseconds since 1970. */
  sinceMs?: number
  /** Only what was printed to one of the two. */
  stream?: 'stdout' | 'stderr'
}

export interface TextOptions extends LineOptions {
  tailLines?: number
  limitBytes?: number
}

/** One stored line as it is sent, or undefined when it is not asked for. */
export function showLine(line: string, options: LineOptions): string | undefined {
  const [time, stream, tag] = line.split(' ', 3)
  if (time === undefined || stream === undefined || tag === undefined) return undefined
  if (options.stream && stream !== options.stream) return undefined
  if (options.sinceMs !== undefined && (parseTime(time) ?? 0) < options.sinceMs) return undefined
  const text = line.slice(time.length + stream.length + tag.length + 3)
  const end = tag === 'P' ? '' : '\n'
  return options.timestamps ? `${time} ${text}${end}` : `${text}${end}`
}

/** A whole stored text as it is sent. */
export function showLog(log: string, options: TextOptions): string {
  const lines = log.split('\n').filter((line) => line !== '')
  const asked =
    options.tailLines === undefined
      ? lines
      : lines.slice(Math.max(0, lines.length - options.tailLines))
  const text = asked.flatMap((line) => showLine(line, options) ?? []).join('')
  if (options.limitBytes === undefined) return text
  const bytes = new TextEncoder().encode(text).subarray(0, options.limitBytes)
  return new TextDecoder().decode(bytes)
}
