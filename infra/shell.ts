// How infra's commands run other programs: really, or (--dry-run) by printing what they would run.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'

export interface Result {
  code: number
  stdout: string
  stderr: string
}

export interface Shell {
  readonly isDryRun: boolean
  say(text: string): void
  /** Runs a command that changes nothing and answers what it printed; a missing program is code 127. */
  look(command: readonly string[]): Promise<Result>
  /** Runs a command with its output on the terminal. Error: it failed. */
  change(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<void>
  /** One request to Google with this token; the body's JSON, undefined when it was refused. */
  request(method: string, url: string, token: string, body?: unknown): Promise<unknown>
  /** True when the person types exactly `word`. */
  confirm(question: string, word: string): Promise<boolean>
  sleep(ms: number): Promise<void>
}

/** A person can mend it: only the text is shown. */
export class InfraError extends Error {}

const REQUEST_MS = 30_000

/** Runs everything. */
export function realShell(env: Readonly<Record<string, string | undefined>>): Shell {
  const say = (text: string): void => console.log(text)
  return {
    isDryRun: false,
    say,
    look: (command) => capture(command, env),
    async change(command, more = {}) {
      say(`+ ${quote(command)}`)
      const code = await stream(command, { ...env, ...more })
      if (code !== 0) throw new InfraError(`failed (exit code ${code}): ${quote(command)}`)
    },
    async request(method, url, token, body) {
      const response = await fetch(url, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(REQUEST_MS),
      })
      const text = await response.text()
      return response.ok && text !== '' ? JSON.parse(text) : undefined
    },
    async confirm(question, word) {
      if (!process.stdin.isTTY) {
        throw new InfraError('nobody is at the terminal to confirm: use --yes if you are sure')
      }
      const terminal = createInterface({ input: process.stdin, output: process.stdout })
      const answer = await terminal.question(`${question} Type "${word}" to go on: `)
      terminal.close()
      return answer.trim() === word
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
}

/** Prints every command, runs none; what looks finds nothing. */
export function dryShell(say: (text: string) => void = console.log): Shell {
  return {
    isDryRun: true,
    say,
    look: async (command) => {
      say(`? ${quote(command)}`)
      return { code: 0, stdout: '', stderr: '' }
    },
    change: async (command) => say(`+ ${quote(command)}`),
    request: async (method, url) => {
      say(`${method === 'GET' ? '?' : '+'} ${method} ${url}`)
      return undefined
    },
    confirm: async (question) => {
      say(`# ${question}`)
      return true
    },
    sleep: async () => undefined,
  }
}

export interface Options {
  project: string
  region: string
  database: string
  billingAccount: string
  isDryRun: boolean
  isSure: boolean
  /** Passed on to Terraform: `pod_range=10.8.0.0/14`. */
  vars: string[]
}

/** Error: says how the command is used. */
export function readOptions(name: string, args: readonly string[]): Options {
  const usage = `usage: infra/${name} --project PROJECT [--region us-central1] [--database NAME]
       [--billing-account ID] [--var NAME=VALUE ...] [--dry-run] [--yes]`
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        project: { type: 'string' },
        region: { type: 'string', default: 'us-central1' },
        database: { type: 'string', default: '(default)' },
        'billing-account': { type: 'string', default: '' },
        var: { type: 'string', multiple: true, default: [] },
        'dry-run': { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
      },
    })
    if (!/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(values.project ?? '')) {
      throw new InfraError('--project takes the id of a Google Cloud project')
    }
    return {
      project: values.project ?? '',
      region: values.region,
      database: values.database,
      billingAccount: values['billing-account'],
      isDryRun: values['dry-run'],
      isSure: values.yes,
      vars: values.var,
    }
  } catch (error) {
    throw new InfraError(`${error instanceof Error ? error.message : String(error)}\n${usage}`, {
      cause: error,
    })
  }
}

/** Runs a command's main part; what a person can mend is told in one line. */
export async function main(
  name: string,
  work: (shell: Shell, options: Options) => Promise<void>,
): Promise<void> {
  try {
    const options = readOptions(name, process.argv.slice(2))
    await work(options.isDryRun ? dryShell() : realShell(process.env), options)
  } catch (error) {
    if (!(error instanceof InfraError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}

/** As a person would type it. */
export function quote(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
}

function capture(
  [program = '', ...args]: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const result: Result = { code: 127, stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()))
    child.once('error', () => resolve(result))
    child.once('close', (code) => resolve({ ...result, code: code ?? 1 }))
  })
}

function stream(
  [program = '', ...args]: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] })
    child.once('error', () => reject(new InfraError(`${program} cannot be started`)))
    child.once('close', (code) => resolve(code ?? 1))
  })
}
