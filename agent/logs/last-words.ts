// The end of a log as the control plane keeps it of a container that ended badly.

import { closeSync, readSync } from 'node:fs'
import { WORDS_BYTES, WORDS_STORED_BYTES } from '#shared/api/last-words.ts'
import { openAll } from './log-file.ts'
import type { OpenFile } from './log-file.ts'

/**
 * The last whole lines of the log at `path`, as they are stored: at most WORDS_BYTES of what the
 * container printed and WORDS_STORED_BYTES with time stamps. Empty when there is no log.
 */
export function lastWords(path: string): string {
  const files = openAll(path)
  try {
    const lines = tail(files, WORDS_STORED_BYTES)
    const kept: string[] = []
    let bytes = 0
    for (const line of lines.reverse()) {
      // Before the text stand time, stream and tag.
      bytes += Buffer.byteLength(line.split(' ').slice(3).join(' ')) + 1
      if (bytes > WORDS_BYTES && kept.length > 0) break
      kept.push(`${line}\n`)
    }
    return kept.reverse().join('')
  } finally {
    for (const { fd } of files) closeSync(fd)
  }
}

/** The whole lines of the last `bytes`, across files. */
function tail(files: readonly OpenFile[], bytes: number): string[] {
  const parts: Buffer[] = []
  let left = bytes
  let isWhole = true
  for (const { fd, size } of files.toReversed()) {
    if (left === 0) {
      isWhole &&= size === 0
      break
    }
    const length = Math.min(size, left)
    const buffer = Buffer.alloc(length)
    readSync(fd, buffer, 0, length, size - length)
    parts.unshift(buffer)
    left -= length
    isWhole &&= length === size
  }
  const lines = Buffer.concat(parts)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
  return isWhole ? lines : lines.slice(1)
}
