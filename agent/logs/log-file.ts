// One container's output on disk, in the format of the container runtime interface:
// `2026-11-22T15:04:05.123456789Z stdout F text`. Rotated like kubelet's (10 MiB, 5 files). Written in
// one call a tick, into the page cache, so that a reader who joins sees each line once.

import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

export type Stream = 'stdout' | 'stderr'

const MAX_BYTES = 10 * 1024 * 1024
const MAX_FILES = 5
/** A line without an end is written in parts of this size, as containerd does. */
const PART_BYTES = 16 * 1024
/** A line with its stamp is shorter, whatever it is made of. */
const TORN_BYTES_MAX = 64 * 1024
const NEWLINE = 10

export interface LogFile {
  /** `time`: the chunk is one line, or without a newline a part of one, that was printed then. */
  append(stream: Stream, chunk: Buffer, time?: string): void
  /** Writes what is pending, unfinished lines included, and closes the file. */
  close(): void
  /**
   * The open files, oldest first, with the bytes that count, and every line after them: no line is
   * missed or told twice. `onLine` gets undefined at the end.
   */
  join(onLine: (line: string | undefined) => void): { files: OpenFile[]; leave: () => void }
}

export interface OpenFile {
  fd: number
  size: number
}

/** Opens (and goes on with) the log at `path`. `now` gives milliseconds. */
export function openLog(
  path: string,
  now: () => number = () => Date.now(),
  limits: { bytes: number; files: number } = { bytes: MAX_BYTES, files: MAX_FILES },
): LogFile {
  mkdirSync(dirname(path), { recursive: true })
  cutTornLine(path)
  let fd = openSync(path, 'a')
  let size = fstatSync(fd).size
  let isClosed = false
  let pending: string[] = []
  const rests: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  const followers = new Set<(line: string | undefined) => void>()

  const write = (): void => {
    if (pending.length === 0) return
    const lines = pending
    pending = []
    const bytes = Buffer.from(lines.join(''))
    writeSync(fd, bytes)
    size += bytes.length
    for (const follower of followers) for (const line of lines) follower(line)
    if (size < limits.bytes) return
    closeSync(fd)
    rotate(path, limits.files)
    fd = openSync(path, 'a')
    size = 0
  }
  const push = (stream: Stream, tag: 'F' | 'P', text: Buffer, time = stamp(now())): void => {
    if (pending.length === 0) setImmediate(write)
    pending.push(`${time} ${stream} ${tag} ${text.toString()}\n`)
  }
  return {
    append(stream, chunk, time) {
      if (isClosed) return
      if (time !== undefined) {
        const isWhole = chunk.at(-1) === NEWLINE
        push(stream, isWhole ? 'F' : 'P', isWhole ? chunk.subarray(0, -1) : chunk, time)
        return
      }
      let rest = Buffer.concat([rests[stream], chunk])
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        push(stream, 'F', rest.subarray(0, end))
        rest = rest.subarray(end + 1)
      }
      for (; rest.length > PART_BYTES; rest = rest.subarray(PART_BYTES)) {
        push(stream, 'P', rest.subarray(0, PART_BYTES))
      }
      rests[stream] = Buffer.from(rest)
    },
    close() {
      if (isClosed) return
      for (const stream of ['stdout', 'stderr'] as const) {
        if (rests[stream].length > 0) push(stream, 'F', rests[stream])
      }
      write()
      isClosed = true
      closeSync(fd)
      for (const follower of followers) follower(undefined)
      followers.clear()
    },
    join(onLine) {
      if (!isClosed) write()
      const files = openAll(path)
      if (isClosed) onLine(undefined)
      else followers.add(onLine)
      return { files, leave: () => void followers.delete(onLine) }
    },
  }
}

/** The log's files that are there, oldest first, opened for reading. The caller closes them. */
export function openAll(path: string): OpenFile[] {
  const names = [path]
  for (let index = 1; existsSync(`${path}.${index}`); index++) names.unshift(`${path}.${index}`)
  return names
    .filter((name) => existsSync(name))
    .map((name) => {
      const fd = openSync(name, 'r')
      return { fd, size: fstatSync(fd).size }
    })
}

/** What a writer that was killed in the middle of a line left of it. */
function cutTornLine(path: string): void {
  if (!existsSync(path)) return
  const fd = openSync(path, 'r+')
  try {
    const { size } = fstatSync(fd)
    const buffer = Buffer.alloc(Math.min(size, TORN_BYTES_MAX))
    readSync(fd, buffer, 0, buffer.length, size - buffer.length)
    const end = buffer.lastIndexOf(NEWLINE) + 1
    if (end < buffer.length) ftruncateSync(fd, size - buffer.length + end)
  } finally {
    closeSync(fd)
  }
}

function rotate(path: string, files: number): void {
  rmSync(`${path}.${files - 1}`, { force: true })
  for (let index = files - 2; index >= 1; index--) {
    if (existsSync(`${path}.${index}`)) renameSync(`${path}.${index}`, `${path}.${index + 1}`)
  }
  renameSync(path, `${path}.1`)
}

let lastMs = 0
let lastExtra = 0

/** RFC 3339 with nanoseconds that never repeat: the clock's milliseconds and a counter. */
function stamp(ms: number): string {
  lastExtra = ms === lastMs ? Math.min(lastExtra + 1000, 999_000) : 0
  lastMs = ms
  return new Date(ms).toISOString().replace('Z', `${String(lastExtra).padStart(6, '0')}Z`)
}
