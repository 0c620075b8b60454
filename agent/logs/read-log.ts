// Reads a container's log as `kubectl logs` asks for it: the last lines, since a time, with time
// stamps, at most so many bytes, and on as it grows.

import { closeSync, createReadStream, readSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { showLine, type TextOptions } from '#shared/log-lines.ts'
import type { LogFile, OpenFile } from './log-file.ts'

export interface LogOptions extends TextOptions {
  follow: boolean
}

/** The text, in pieces. `log` is undefined for a container that is no longer there. */
export async function* readLog(
  open: () => OpenFile[],
  log: LogFile | undefined,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const live = options.follow && log ? follow(log, signal) : undefined
  const files = live ? live.files : open()
  try {
    yield* limited(allLines(files, live?.lines, options), options.limitBytes)
  } finally {
    live?.leave()
    for (const { fd } of files) closeSync(fd)
  }
}

async function* allLines(
  files: readonly OpenFile[],
  more: AsyncIterable<string> | undefined,
  options: LogOptions,
): AsyncGenerator<string> {
  const start = options.tailLines === undefined ? undefined : tailStart(files, options.tailLines)
  for (const [index, file] of files.entries()) {
    if (start && index < start.index) continue
    const offset = start && index === start.index ? start.offset : 0
    if (offset >= file.size) continue
    const input = createReadStream('', {
      fd: file.fd,
      start: offset,
      end: file.size - 1,
      autoClose: false,
    })
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      const shown = showLine(line, options)
      if (shown !== undefined) yield shown
    }
  }
  if (!more) return
  for await (const line of more) {
    const shown = showLine(line.slice(0, -1), options)
    if (shown !== undefined) yield shown
  }
}

async function* limited(
  lines: AsyncIterable<string>,
  limitBytes: number | undefined,
): AsyncGenerator<string> {
  if (limitBytes === undefined) {
    yield* lines
    return
  }
  let left = limitBytes
  for await (const line of lines) {
    const bytes = Buffer.from(line)
    if (bytes.length >= left) {
      yield bytes.subarray(0, left).toString()
      return
    }
    left -= bytes.length
    yield line
  }
}

const BLOCK = 64 * 1024

/** Where the last `count` lines begin: read backwards, so that a long log costs nothing. */
function tailStart(
  files: readonly OpenFile[],
  count: number,
): { index: number; offset: number } | undefined {
  let missing = count
  const buffer = Buffer.alloc(BLOCK)
  for (let index = files.length - 1; index >= 0; index--) {
    const file = files[index]
    if (!file) continue
    if (missing === 0) return { index, offset: file.size }
    let end = file.size
    while (end > 0) {
      const from = Math.max(0, end - BLOCK)
      const length = readSync(file.fd, buffer, 0, end - from, from)
      for (let at = length - 1; at >= 0; at--) {
        // The newline that ends the last line of the file begins no line after it.
        if (buffer[at] !== 10 || from + at === file.size - 1) continue
        if (--missing === 0) return { index, offset: from + at + 1 }
      }
      end = from
    }
    // The first line of a file has no newline before it.
    if (file.size > 0 && --missing === 0) return { index, offset: 0 }
  }
  return undefined
}

/** Lines appended after this call, buffered until they are read; `files` hold those before it. */
function follow(
  log: LogFile,
  signal: AbortSignal,
): { files: OpenFile[]; lines: AsyncIterable<string>; leave: () => void } {
  const queue: string[] = []
  let hasEnded = false
  let wake: (() => void) | undefined
  const { files, leave } = log.join((line) => {
    if (line === undefined) hasEnded = true
    else queue.push(line)
    wake?.()
  })
  const onAbort = (): void => wake?.()
  signal.addEventListener('abort', onAbort)
  async function* lines(): AsyncGenerator<string> {
    while (!signal.aborted) {
      const line = queue.shift()
      if (line !== undefined) {
        yield line
        continue
      }
      if (hasEnded) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    files,
    lines: lines(),
    leave: () => {
      leave()
      signal.removeEventListener('abort', onAbort)
    },
  }
}
