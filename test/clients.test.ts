// The real clients can be unpacked and run on this machine.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { helm, kubectl, runClient } from './clients.ts'

const home = mkdtempSync(join(tmpdir(), 'wherry-clients-'))
afterAll(() => rmSync(home, { recursive: true }))

test.for(['1.35', '1.32'] as const)('kubectl %s runs', async (version) => {
  const result = await runClient(kubectl(version), ['version', '--client'], { home })
  expect(result).toMatchObject({ code: 0, stderr: '' })
  expect(result.stdout).toContain(`Client Version: v${version}.`)
})

test.for(['4', '3'] as const)('helm %s runs', async (version) => {
  const result = await runClient(helm(version), ['version', '--short'], { home })
  expect(result.code).toBe(0)
  expect(result.stdout).toMatch(new RegExp(`^v${version}\\.`))
})
