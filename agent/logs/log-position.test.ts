import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLog } from './log-file.ts'
import { positionOf, resumeTime } from './log-position.ts'

describe('where a log ends', () => {
  let folder: string
  let path: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wherry-position-'))
    path = join(folder, '0.log')
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const at = (second: number): string => `2026-11-29T15:00:0${second}.000000000Z`

  test('is nowhere without one', () => {
    expect(resumeTime(positionOf(path))).toBe(0)
  })

  test('is the last line of each stream', () => {
    const log = openLog(path)
    log.append('stdout', Buffer.from('one\n'), at(1))
    log.append('stderr', Buffer.from('two\n'), at(2))
    log.append('stdout', Buffer.from('a part'), at(2))
    log.close()
    expect(positionOf(path)).toEqual({ stdout: at(2), stderr: at(2) })
    expect(readFileSync(path, 'utf8')).toBe(
      `${at(1)} stdout F one\n${at(2)} stderr F two\n${at(2)} stdout P a part\n`,
    )
  })

  test('does not count a stream that has printed nothing for long', () => {
    const log = openLog(path)
    log.append('stderr', Buffer.from('long ago\n'), at(1))
    log.append('stdout', Buffer.from('now\n'), at(5))
    log.close()
    const position = positionOf(path)
    expect(position).toEqual({ stdout: at(5), stderr: undefined })
    expect(resumeTime(position)).toBe(Date.parse(at(4)))
  })

  test('is found in the file before when the log was just cut', () => {
    writeFileSync(`${path}.1`, `${at(3)} stdout F last\n`)
    writeFileSync(path, '')
    expect(positionOf(path).stdout).toBe(at(3))
  })

  test('is before a line that a dead agent left unfinished', () => {
    writeFileSync(path, `${at(1)} stdout F whole\n${at(2)} stdo`)
    openLog(path).close()
    expect(readFileSync(path, 'utf8')).toBe(`${at(1)} stdout F whole\n`)
    expect(positionOf(path).stdout).toBe(at(1))
  })
})
