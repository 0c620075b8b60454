// `npm run fault`: causes a fault in the Wherry that runs on this machine (`npm start`), and says what
// was done. A program of its own; it reads the home folder for where and with which token.

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  FAULT_KINDS,
  isFaultName,
  nearest,
  type FaultKind,
  type FaultTargets,
} from './fault-kinds.ts'

const ROOT = resolve(import.meta.dirname, '..')
const HOME = resolve(process.env['WHERRY_HOME'] ?? join(ROOT, '.wherry'))
const ANSWER_MS = 20_000

const USAGE = [
  'npm run fault -- FAULT [NAME] [VALUE]',
  '',
  ...Object.entries<FaultKind>(FAULT_KINDS).map(([name, { target, does, value }]) => {
    const what = target === 'none' ? name : `${name} ${target.toUpperCase()}`
    const asked = value ? `${what} [${value.name}]` : what
    return `  ${asked.padEnd(26)} ${does}`
  }),
  '  list                       the nodes and pods that there are',
  '  --help                     this text',
  '',
  'Works on the Wherry of WHERRY_HOME (.wherry), while it runs.',
].join('\n')

/** Something that the caller should be told, and no more. */
class Refusal extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Refusal)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}

async function main([fault, target, value, ...rest]: readonly string[]): Promise<void> {
  if (fault === '--help' || fault === '-h') {
    say(USAGE)
    return
  }
  if (fault === undefined) throw new Refusal(USAGE, 2)
  if (fault === 'list') {
    showTargets(await ask<FaultTargets>('GET'))
    return
  }
  if (!isFaultName(fault)) {
    const meant = nearest(fault, [...Object.keys(FAULT_KINDS), 'list'])
    throw new Refusal(
      `no fault "${fault}".${meant ? ` Did you mean ${meant}?` : ''}\n\n${USAGE}`,
      2,
    )
  }
  const kind = FAULT_KINDS[fault].target
  if (kind === 'none' ? target !== undefined : target === undefined) {
    const targets =
      kind === 'none' ? undefined : await ask<FaultTargets>('GET').catch(() => undefined)
    const names = kind === 'pod' ? targets?.pods : targets?.nodes.map(({ name }) => name)
    const there = names?.length ? ` There are: ${names.join(', ')}` : ''
    const what = kind === 'none' ? 'takes no name' : `needs the name of a ${kind}.${there}`
    throw new Refusal(`${fault} ${what}`, 2)
  }
  if (rest.length > 0) throw new Refusal(`too many words: ${rest.join(' ')}`, 2)
  const { said } = await ask<{ said: string }>('POST', {
    fault,
    target: target ?? '',
    value: value ?? '',
  })
  say(said)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function showTargets({ nodes, pods }: FaultTargets): void {
  for (const { name, status, isHung } of nodes) {
    say(`node  ${name}  ${isHung ? 'stands still' : status}`)
  }
  for (const name of pods) say(`pod   ${name}`)
}

async function ask<T>(method: 'GET' | 'POST', body?: object): Promise<T> {
  let response: Response
  try {
    response = await fetch(new URL('/faults', endpoint()), {
      method,
      headers: { authorization: `Bearer ${read('admin-token').trim()}` },
      signal: AbortSignal.timeout(ANSWER_MS),
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  } catch (error) {
    if (error instanceof Refusal) throw error
    const why = error instanceof Error ? (error.cause ?? error) : error
    throw new Refusal(`Wherry does not answer (${HOME}): ${String(why)}`)
  }
  const answer: T & { error?: string } = JSON.parse(await response.text())
  if (!response.ok) throw new Refusal(answer.error ?? `HTTP ${response.status}`)
  return answer
}

/** Where the running Wherry listens: it says so when it is up. */
function endpoint(): string {
  const ready: { gcloud: string } = JSON.parse(read('ready.json'))
  return ready.gcloud
}

function read(name: string): string {
  try {
    return readFileSync(join(HOME, name), 'utf8')
  } catch {
    throw new Refusal(`No Wherry runs in ${HOME}. Start it with npm start, or set WHERRY_HOME.`)
  }
}
