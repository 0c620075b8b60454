// Images are what their files are: nothing of when or where they were made is in their digest.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { entriesOf, writeLayer } from './layer.ts'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-layer-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

function folder(name: string, modified: number): string {
  const path = join(dir, name)
  mkdirSync(join(path, 'public'), { recursive: true })
  for (const [file, text] of Object.entries({ 'server.js': '1', 'public/index.html': 'page' })) {
    writeFileSync(join(path, file), text)
    utimesSync(join(path, file), modified, modified)
  }
  writeFileSync(join(path, 'image.json'), name)
  return path
}

test('the same files have the same digest, whatever their age and place', async () => {
  const [one, two] = [folder('one', 1000), folder('two', 2_000_000)].map((path, index) =>
    writeLayer(join(dir, `${index}.tar`), entriesOf(path, 'app', ['image.json'])),
  )
  const first = await one
  expect((await two)?.digest).toBe(first?.digest)
  expect(first?.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(readFileSync(first?.file ?? '').length).toBe(first?.size)
  writeFileSync(join(dir, 'one/server.js'), '2')
  const changed = await writeLayer(join(dir, '2.tar'), entriesOf(join(dir, 'one'), 'app'))
  expect(changed.digest).not.toBe(first?.digest)
})
