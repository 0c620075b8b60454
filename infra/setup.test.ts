import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'

const dir = mkdtempSync(join(tmpdir(), 'wherry-setup-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const SETUP = join(import.meta.dirname, 'setup.mjs')

/**
 * A project with a package in a folder of its own, so that npm needs no network, and perhaps one
 * from a registry that nobody reaches.
 */
function project(name: string, fromRegistry?: string): string {
  const root = mkdtempSync(join(dir, name))
  const dependencies: Record<string, string> = { local: 'file:local' }
  const packages: Record<string, unknown> = {
    '': { name, version: '1.0.0', dependencies },
    local: { version: '1.0.0' },
    'node_modules/local': { resolved: 'local', link: true },
  }
  if (fromRegistry) {
    dependencies[fromRegistry] = '1.0.0'
    const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`
    packages[`node_modules/${fromRegistry}`] = { version: '1.0.0', integrity }
  }
  const write = (file: string, content: object): void =>
    writeFileSync(join(root, file), JSON.stringify(content))
  mkdirSync(join(root, 'local'))
  write('local/package.json', { name: 'local', version: '1.0.0' })
  write('package.json', { name, version: '1.0.0', dependencies })
  write('package-lock.json', { name, version: '1.0.0', lockfileVersion: 3, packages })
  return root
}

interface Ended {
  code: number | null
  output: string
}

function runNode(script: string, env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}

function prepareIn(root: string, env: Record<string, string> = {}): Promise<Ended> {
  return runNode(
    `import { main, prepare } from ${JSON.stringify(SETUP)}
     await main(async () => { console.log(await prepare({ root: ${JSON.stringify(root)} })); return 0 })`,
    env,
  )
}

test('it installs when packages are missing or older than the lock file, else not', async () => {
  const root = project('fresh')
  const first = await prepareIn(root)
  expect(first).toMatchObject({ code: 0, output: expect.stringContaining('Packages installed in') })
  expect(first.output).toContain(process.execPath)

  expect((await prepareIn(root)).output).not.toContain('Installing')

  // As git does when it checks the same content out again.
  const lock = join(root, 'package-lock.json')
  const later = statSync(lock).mtimeMs / 1000 + 100
  utimesSync(lock, later, later)
  expect((await prepareIn(root)).output).not.toContain('Installing')

  writeFileSync(lock, `${readFileSync(lock, 'utf8')}\n`)
  utimesSync(lock, later, later)
  expect((await prepareIn(root)).output).toContain('Installing')
})

test('without a network it says so, shortly', async () => {
  const root = project('offline', 'nothing')
  const { code, output } = await prepareIn(root, {
    npm_config_registry: 'http://127.0.0.1:1/',
    npm_config_fetch_retries: '0',
    npm_config_cache: join(dir, 'cache'),
  })
  expect(code).toBe(1)
  expect(output).toContain('npm does not reach its registry')
  expect(output).not.toContain('at async')
  expect(existsSync(join(root, 'node_modules', '.wherry-lock'))).toBe(false)
})

test('without npm it says so', async () => {
  const { code, output } = await prepareIn(project('bare'), { PATH: dir })
  expect(code).toBe(1)
  expect(output).toContain('npm is not installed')
})

test('the exit code is the program’s own', async () => {
  const { code } = await runNode(
    `import { main, runOn } from ${JSON.stringify(SETUP)}
     await main(() => runOn(process.execPath, ['-e', 'process.exit(7)']))`,
  )
  expect(code).toBe(7)
})

/** A wrapper around a program that says its pid and what reaches it. */
function startWrapped() {
  const program = `
    process.on('SIGINT', () => { console.log('got SIGINT'); process.exit(5) })
    process.on('SIGTERM', () => process.exit(6))
    setInterval(() => {}, 1000)
    console.log('pid ' + process.pid)`
  const wrapper = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { main, runOn } from ${JSON.stringify(SETUP)}
     await main(() => runOn(process.execPath, ['-e', ${JSON.stringify(program)}]))`,
  ])
  const state = { output: '', code: undefined as number | null | undefined }
  wrapper.stdout.on('data', (chunk: Buffer) => (state.output += chunk.toString()))
  wrapper.once('exit', (code) => (state.code = code))
  return { wrapper, state }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`)
    await sleep(20)
  }
}

test('Ctrl-C reaches the program once, and its exit code comes back', async () => {
  const { wrapper, state } = startWrapped()
  await until('it runs', () => state.output.includes('pid '))
  wrapper.kill('SIGINT')
  await until('it has ended', () => state.code !== undefined)
  expect(state.code).toBe(5)
  expect(state.output.match(/got SIGINT/g)).toHaveLength(1)
})

test('when the wrapper is killed the program ends too', async () => {
  const { wrapper, state } = startWrapped()
  await until('it runs', () => state.output.includes('pid '))
  const pid = Number(/pid (\d+)/.exec(state.output)?.[1])
  wrapper.kill('SIGKILL')
  await until('the program has ended', () => {
    try {
      process.kill(pid, 0)
      return false
    } catch {
      return true
    }
  })
})
