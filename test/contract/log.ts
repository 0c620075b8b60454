// What every Log driver must do. `make` answers a log and how to read what it has kept.

import { describe, expect, test } from 'vitest'
import type { Log } from '#shared/ports/log.ts'

export interface LogUnderTest {
  log: Log
  /** What was said, oldest first, fields beside severity and message. */
  entries: () => Record<string, unknown>[]
}

/** Runs the Log contract on a driver. */
export function logContract(name: string, make: () => LogUnderTest): void {
  describe(`${name} keeps the Log contract`, () => {
    test('severity, message and fields arrive, in order', () => {
      const { log, entries } = make()
      log.info('one', { cluster: 'dev', count: 2 })
      log.warn('two\nlines')
      log.error('three', { list: ['a', { b: true }] })
      expect(entries()).toMatchObject([
        { severity: 'INFO', message: 'one', cluster: 'dev', count: 2 },
        { severity: 'WARNING', message: 'two\nlines' },
        { severity: 'ERROR', message: 'three', list: ['a', { b: true }] },
      ])
    })

    test('an error keeps its stack, its code and its cause', () => {
      const { log, entries } = make()
      const error = new Error('outer', { cause: new TypeError('inner') })
      log.error('failed', { error: Object.assign(error, { code: 14 }) })
      expect(entries()).toMatchObject([
        {
          error: {
            name: 'Error',
            message: 'outer',
            code: 14,
            stack: expect.stringContaining('contract/log.ts'),
            cause: { name: 'TypeError', message: 'inner' },
          },
        },
      ])
    })

    test('what looks like a secret is not printed, at any depth', () => {
      const { log, entries } = make()
      log.info('secrets', {
        token: 'hunter2',
        adminPassword: 'hunter2',
        request: { headers: { Authorization: 'Bearer hunter2hunter2' }, clientSecret: ['hunter2'] },
        header: 'got Bearer hunter2hunter2',
        error: new Error('refused: Bearer hunter2hunter2'),
        tokens: 3,
      })
      expect(JSON.stringify(entries())).not.toContain('hunter2')
      expect(entries()).toMatchObject([{ token: '[redacted]', tokens: 3 }])
    })

    test('nothing that is logged can throw', () => {
      const { log, entries } = make()
      const circle: Record<string, unknown> = {}
      circle['self'] = circle
      log.info('odd', {
        circle,
        big: 2n ** 70n,
        none: undefined,
        nan: Number.NaN,
        when: new Date(Number.NaN),
        map: new Map([['k', 'v']]),
        bytes: new Uint8Array(3),
        call: () => 1,
      })
      expect(entries()).toMatchObject([
        {
          message: 'odd',
          big: '1180591620717411303424',
          nan: 'NaN',
          map: { k: 'v' },
          bytes: '[3 bytes]',
        },
      ])
    })

    test('an entry stays bounded', () => {
      const { log, entries } = make()
      log.info('long', { text: 'x'.repeat(1_000_000), list: Array.from({ length: 10_000 }) })
      expect(JSON.stringify(entries()).length).toBeLessThan(100_000)
    })
  })
}
