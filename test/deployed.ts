// Runs a bundle from its folder as Google Cloud does: functions-framework with the function's name in
// the environment. For tests and for measuring cold starts.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FunctionName } from '#functions/environment.ts'
import { freePort } from '#emulator/google/free-port.ts'

export interface DeployedFunction {
  name: FunctionName
  /** `http://127.0.0.1:1234`. */
  url: string
  /** From the start of the process to its first answer to a request. */
  coldStartMs: number
  /** The status of that answer. */
  firstStatus: number
  /** What it has printed. */
  output(): string
  /** Ends it and answers the packages that it had loaded. */
  stop(): Promise<string[]>
}

const ROOT = join(import.meta.dirname, '..')
const FRAMEWORK = join(ROOT, 'node_modules/@google-cloud/functions-framework/build/src/main.js')
const DEADLINE_MS = 60_000

/** Writes which CommonJS packages were loaded (all of Google's clients are) when the process ends. */
const PRELOAD = `process.on('exit', () => require('node:fs').writeFileSync(process.env.WHERRY_TEST_LOADED,
  JSON.stringify(Object.keys(require.cache))))`

/** Resolves after the first answer. Error: with its output when it ends before that. */
export async function startDeployed(
  name: FunctionName,
  dir: string,
  env: Readonly<Record<string, string>>,
): Promise<DeployedFunction> {
  const port = await freePort()
  const scratch = mkdtempSync(join(tmpdir(), 'wherry-deployed-'))
  const loaded = join(scratch, 'loaded.json')
  const preload = `data:text/javascript,import{createRequire}from'node:module';const require=createRequire(${JSON.stringify(`${ROOT}/`)});${encodeURIComponent(PRELOAD)}`
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['--import', preload, FRAMEWORK], {
    cwd: dir,
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'production',
      METADATA_SERVER_DETECTION: 'none',
      FUNCTION_TARGET: name,
      FUNCTION_SIGNATURE_TYPE: 'http',
      K_SERVICE: `wherry-${name}`,
      PORT: String(port),
      WHERRY_TEST_LOADED: loaded,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  }
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async (): Promise<string[]> => {
    child.kill('SIGTERM')
    const killer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await ended
    clearTimeout(killer)
    const packages = readPackages(loaded)
    rmSync(scratch, { recursive: true, force: true })
    return packages
  }
  const url = `http://127.0.0.1:${port}`
  try {
    const firstStatus = await firstAnswer(url, () => child.exitCode === null, startedAt)
    const coldStartMs = performance.now() - startedAt
    return { name, url, coldStartMs, firstStatus, output: () => output, stop }
  } catch (error) {
    await stop()
    throw new Error(`${name} did not start: ${output}`, { cause: error })
  }
}

/** A request that makes the function put itself together: nobody is let in without a token. */
async function firstAnswer(
  url: string,
  isRunning: () => boolean,
  startedAt: number,
): Promise<number> {
  for (;;) {
    try {
      const response = await fetch(`${url}/clusters/c-none/api`, { method: 'POST' })
      await response.arrayBuffer()
      return response.status
    } catch (error) {
      if (!isRunning() || performance.now() - startedAt > DEADLINE_MS) throw error
      await sleep(5)
    }
  }
}

function readPackages(file: string): string[] {
  const paths: string[] = JSON.parse(readFileSync(file, 'utf8'))
  const names = paths.flatMap((path) => {
    const inside = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
    return inside ? [inside] : []
  })
  return [...new Set(names)].sort()
}
