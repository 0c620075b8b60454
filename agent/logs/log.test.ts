import { closeSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lastLines } from './last-lines.ts'
import { lastWords } from './last-words.ts'
import { openAll, openLog } from './log-file.ts'
import type { LogFile } from './log-file.ts'
import { readLog } from './read-log.ts'
import type { LogOptions } from './read-log.ts'

const NOW = Date.UTC(2026, 10, 22, 12)

describe('a container log', () => {
  let folder: string
  let path: string
  let now: number
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wherry-log-'))
    path = join(folder, '0.log')
    now = NOW
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const open = (limits = { bytes: 1e6, files: 3 }): LogFile => openLog(path, () => now, limits)
  async function read(options: Partial<LogOptions> = {}, log?: LogFile): Promise<string> {
    let text = ''
    const all = { follow: false, timestamps: false, ...options }
    const signal = new AbortController().signal
    for await (const part of readLog(() => openAll(path), log, all, signal)) text += part
    return text
  }
  const say = (log: LogFile, text: string): void => log.append('stdout', Buffer.from(text))

  test('keeps lines whole, however they come, and the last one without an end', async () => {
    const log = open()
    for (const part of ['on', 'e\ntw', 'o\n', 'three']) say(log, part)
    log.close()
    expect(await read()).toBe('one\ntwo\nthree\n')
  })

  test('parts of a very long line are put together again', async () => {
    const log = open()
    const long = 'x'.repeat(40_000)
    say(log, `${long}\nend\n`)
    log.close()
    expect(await read()).toBe(`${long}\nend\n`)
  })

  test('tail, since, limit, time stamps, one stream', async () => {
    const log = open()
    say(log, 'one\ntwo\n')
    log.append('stderr', Buffer.from('three\n'))
    now += 60_000
    say(log, 'four\n')
    log.close()
    expect(await read({ tailLines: 2 })).toBe('three\nfour\n')
    expect(await read({ tailLines: 0 })).toBe('')
    expect(await read({ tailLines: 99 })).toBe('one\ntwo\nthree\nfour\n')
    expect(await read({ sinceMs: NOW + 1000 })).toBe('four\n')
    expect(await read({ limitBytes: 6 })).toBe('one\ntw')
    expect(await read({ stream: 'stderr' })).toBe('three\n')
    expect(await read({ timestamps: true, tailLines: 1 })).toBe(
      '2026-11-22T12:01:00.000000000Z four\n',
    )
  })

  test('is rotated, and tail reaches over the files', async () => {
    const log = open({ bytes: 400, files: 3 })
    for (let index = 0; index < 60; index++) {
      say(log, `line ${index}\n`)
      log.join(() => undefined).files.forEach(({ fd }) => expect(fd).toBeGreaterThan(0))
    }
    log.close()
    expect(readdirSync(folder).sort()).toEqual(['0.log', '0.log.1', '0.log.2'])
    expect(await read({ tailLines: 12 })).toBe(
      Array.from({ length: 12 }, (_, index) => `line ${48 + index}\n`).join(''),
    )
    const all = (await read()).trim().split('\n')
    expect(all.at(-1)).toBe('line 59')
    expect(all.length).toBeLessThan(60)
  })

  test('a follower gets each line once, from before and after, until the end', async () => {
    const log = open({ bytes: 300, files: 9 })
    for (let index = 0; index < 10; index++) say(log, `${index}\n`)
    const following = read({ follow: true }, log)
    for (let index = 10; index < 30; index++) {
      say(log, `${index}\n`)
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
    log.close()
    const expected = Array.from({ length: 30 }, (_, index) => `${index}\n`).join('')
    expect(await following).toBe(expected)
  })

  test.each([
    { of: 'few lines', lines: 3, length: 10, kept: 3 },
    // 32 KiB of 44 bytes a line, most of them time stamps.
    { of: 'short lines', lines: 1000, length: 3, kept: 744 },
    // 16 KiB of text.
    { of: 'long lines', lines: 100, length: 1023, kept: 16 },
  ])('its last words are whole lines, not too many: $of', ({ lines, length, kept }) => {
    const log = open({ bytes: 20_000, files: 3 })
    for (let index = 0; index < lines; index++) {
      say(log, `${String(index).padStart(length, '.')}\n`)
      for (const { fd } of log.join(() => undefined).files) closeSync(fd)
    }
    log.close()
    const words = lastWords(path)
    const texts = words.split('\n').slice(0, -1)
    expect(texts.every((text) => /^\S+Z stdout F \S+$/.test(text))).toBe(true)
    expect(texts.at(-1)?.endsWith(String(lines - 1))).toBe(true)
    expect(texts.length).toBe(kept)
  })

  test('without a log there are no last words', () => {
    expect(lastWords(path)).toBe('')
  })

  test('its end is a termination message', () => {
    const log = open()
    for (let index = 0; index < 100; index++) say(log, `line ${index}\n`)
    log.close()
    const text = lastLines(path)
    expect(text.split('\n').slice(0, 2)).toEqual(['line 20', 'line 21'])
    expect(text.endsWith('line 99\n')).toBe(true)
  })
})
