// The whole local system for end-to-end tests: what `npm start` runs, in a home
// folder of its own, and real clients against it.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { kubectl, runClient, type ClientResult } from './clients.ts'

const ROOT = join(import.meta.dirname, '..')

/** What `npm start` writes to `ready.json` when everything serves. */
export interface Ready {
  /** The example's address, as a browser opens it. */
  app?: string
  /** The first cluster's Kubernetes API. */
  api: string
  kubeconfig: string
  /** The GKE and Compute APIs for gcloud. */
  gcloud: string
  project: string
  firestore?: { host: string; pid?: number }
  pubsub?: { host: string; pid?: number }
  /** What the VMs are. */
  machines: 'process' | 'docker'
}

export interface LocalWherry {
  ready: Ready
  home: string
  /** All that it printed. */
  output(): string
  pid: number
  /** How this machine opens port 80 of a load balancer: at its address, as a rule. */
  urlOf(address: string): string
  /** Runs kubectl with the kubeconfig that was written; `args` as a person types them. */
  kubectl(
    args: string,
    options?: { input?: string; timeoutMs?: number; version?: '1.35' | '1.32' },
  ): Promise<ClientResult>
  /** As kubectl, but fails the test on a non-zero exit; answers standard output. */
  mustKubectl(args: string, options?: { input?: string; timeoutMs?: number }): Promise<string>
  /** SIGINT, as Ctrl-C; answers the exit code. */
  stop(): Promise<number | null>
  /** Stops and removes the home folder. */
  dispose(): Promise<void>
}

const START_DEADLINE_MS = 90_000
const STOP_DEADLINE_MS = 30_000

/** Starts it and waits until it says that it is ready; `signal` ends one that still comes up. */
export async function startLocalWherry(
  options: {
    args?: string[]
    env?: Record<string, string>
    home?: string
    signal?: AbortSignal
    /** How long it may take. */
    deadlineMs?: number
  } = {},
): Promise<LocalWherry> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'wherry-'))
  rmSync(join(home, 'ready.json'), { force: true })
  // Emulators of the test run are not borrowed: some tests freeze theirs.
  const { FIRESTORE_EMULATOR_HOST: _, PUBSUB_EMULATOR_HOST: __, ...env } = process.env
  const child = spawn(process.execPath, ['emulator/main.ts', ...(options.args ?? [])], {
    cwd: ROOT,
    // Most tests are about what every machine can have, and are timed for it.
    env: { WHERRY_MACHINES: 'process', ...env, ...options.env, WHERRY_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const end = (): void => void child.kill('SIGINT')
  options.signal?.addEventListener('abort', end, { once: true })
  const ready = await untilReady(child, {
    file: join(home, 'ready.json'),
    output: () => text,
    deadlineMs: options.deadlineMs ?? START_DEADLINE_MS,
  })
  options.signal?.removeEventListener('abort', end)
  return running({ child, home, ready, output: () => text })
}

async function untilReady(
  child: ChildProcess,
  { file, output, deadlineMs }: { file: string; output: () => string; deadlineMs: number },
): Promise<Ready> {
  const deadline = Date.now() + deadlineMs
  while (Date.now() < deadline) {
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output()}`)
    await sleep(100)
  }
  child.kill('SIGKILL')
  throw new Error(`not ready after ${deadlineMs / 1000} s:\n${output()}`)
}

function running(parts: {
  child: ChildProcess
  home: string
  ready: Ready
  output(): string
}): LocalWherry {
  const { child, home, ready } = parts
  const clientHome = mkdtempSync(join(tmpdir(), 'wherry-client-'))
  const run: LocalWherry['kubectl'] = (args, { version, input, timeoutMs } = {}) =>
    runClient(kubectl(version), splitArgs(args), {
      home: clientHome,
      kubeconfig: ready.kubeconfig,
      cwd: ROOT,
      timeoutMs: timeoutMs ?? 60_000,
      ...(input === undefined ? {} : { input }),
    })
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null) child.kill('SIGINT')
    const deadline = Date.now() + STOP_DEADLINE_MS
    while (child.exitCode === null && child.signalCode === null && Date.now() < deadline)
      await sleep(50)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    return child.exitCode
  }
  return {
    ...parts,
    pid: child.pid ?? 0,
    urlOf(address) {
      const elsewhere = new RegExp(`${address}:80 cannot be had on this machine, open (\\S+)`)
      return elsewhere.exec(parts.output())?.[1] ?? `http://${address}`
    },
    kubectl: run,
    mustKubectl: async (args, options) => {
      const result = await run(args, options)
      if (result.code !== 0)
        throw new Error(`kubectl ${args} → ${result.code}\n${result.stdout}${result.stderr}`)
      return result.stdout
    },
    stop,
    dispose: async () => {
      await stop()
      rmSync(home, { recursive: true, force: true })
      rmSync(clientHome, { recursive: true, force: true })
    },
  }
}

/** Splits at spaces; 'single quotes' keep them, also inside a word. */
function splitArgs(args: string): string[] {
  return [...args.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''))
}

/** Asks until `check` answers something, or fails with the last reason. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let reason: unknown
  while (Date.now() < deadline) {
    try {
      const answer = await check()
      if (answer !== undefined && answer !== false) return answer
      reason = undefined
    } catch (error) {
      reason = error
    }
    await sleep(200)
  }
  throw new Error(`not within ${timeoutMs / 1000} s: ${what}`, { cause: reason })
}
