// `npm run story`: plays the three acts side by side, and draws the page from what was recorded.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'
import { pathToFileURL } from 'node:url'
import { kubectl } from '#test/clients.ts'
import { FASTER, PATIENCE_MS, PER_SECOND, REACTIONS } from './assumptions.ts'
import { document } from './document.ts'
import { onCluster } from './on-cluster.ts'
import { oneVm, threeVms } from './on-vms.ts'
import { page } from './page.ts'
import { takePicture } from './picture.ts'
import { resultOf } from './results.ts'
import type { Stage } from './stage.ts'
import { ACT_NAMES, type ActName, type Moment, type Story } from './story.ts'
import { clockText, secondsText } from './words.ts'

const ROOT = resolve(import.meta.dirname, '..')
const OUT = join(ROOT, '.wherry', 'story')
const USAGE = `npm run story -- [options]

  --fast        people react ${FASTER} times faster; the page says so
  --out DIR     where the page and the records go (.wherry/story)
  --open        opens the page
  --from FILE   plays nothing, draws from the records of an earlier run
  --docs        writes docs/story.md and its picture as well (needs chromium)
  --help        this text
`
const END_MS = 40_000

interface Options {
  fast: boolean
  out: string
  open: boolean
  from: string | undefined
  docs: boolean
  help: boolean
}

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)))
} catch (error) {
  complain(error)
  process.exitCode = 1
}
// Sockets of clients that were cut off may still be open.
process.exit()

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      fast: { type: 'boolean', default: false },
      out: { type: 'string', default: OUT },
      open: { type: 'boolean', default: false },
      from: { type: 'string' },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  return { ...values, from: values.from }
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    say(USAGE)
    return 0
  }
  const story: Story = options.from
    ? JSON.parse(readFileSync(options.from, 'utf8'))
    : await play(options.fast ? FASTER : 1)
  const out = resolve(options.out)
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'story.json'), JSON.stringify(story))
  const file = join(out, 'index.html')
  writeFileSync(file, page(story))
  if (options.docs) {
    writeFileSync(join(ROOT, 'docs', 'story.md'), document(story))
    await takePicture(file, join(ROOT, 'docs', 'images', 'story.png'))
  }
  for (const { name, ...act } of story.acts) {
    const { downtimeMs, failed, requests } = resultOf(act)
    say(
      `${name.padEnd(9)}  down ${secondsText(downtimeMs)}, ${failed} of ${requests} requests failed`,
    )
  }
  say(`the page   ${shown(file)}`)
  if (options.open) openInBrowser(file)
  return 0
}

async function play(faster: number): Promise<Story> {
  const aborted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => aborted.abort(new Error(signal)))
  }
  const folder = mkdtempSync(join(tmpdir(), 'wherry-story-'))
  const ends: (() => Promise<void>)[] = []
  const startedAt = Date.now()
  const stage: Stage = {
    folder,
    faster,
    signal: aborted.signal,
    tell: (act, moment) => tell(startedAt, act, moment),
    onEnd: (end) => void ends.unshift(end),
  }
  // Unpacked once, which takes its time: not while visitors are counted.
  kubectl()
  say('Three acts, side by side. Nobody has to do anything; it takes about two minutes.\n')
  const acts = [oneVm(stage), threeVms(stage), onCluster(stage)]
  try {
    return { about: aboutThis(faster), reactions: { ...REACTIONS }, acts: await all(acts, aborted) }
  } finally {
    for (const end of ends.splice(0)) await end().catch(complain)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** All acts, or the first failure once the others have noticed and ended. */
async function all<T>(acts: readonly Promise<T>[], aborted: AbortController): Promise<T[]> {
  try {
    return await Promise.all(acts)
  } catch (error) {
    aborted.abort(error)
    const patience = new Promise((done) => setTimeout(done, END_MS).unref())
    await Promise.race([Promise.allSettled(acts), patience])
    throw error
  }
}

function aboutThis(faster: number): Story['about'] {
  const memory = Math.round(totalmem() / 2 ** 30)
  return {
    day: new Date().toISOString().slice(0, 10),
    machine: `${availableParallelism()} cores and ${memory} GB (${process.platform} ${process.arch})`,
    perSecond: PER_SECOND,
    patienceMs: PATIENCE_MS,
    faster,
  }
}

function tell(startedAt: number, act: ActName, { at, who, what, command }: Moment): void {
  const number = ACT_NAMES.indexOf(act) + 1
  const typed = command ? `\n${' '.repeat(24)}$ ${command}` : ''
  say(`${clockText(at - startedAt).padStart(5)}  act ${number}  ${who.padEnd(8)} ${what}${typed}`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function complain(error: unknown): void {
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
}

function shown(file: string): string {
  const short = relative(process.cwd(), file)
  return short.startsWith('..') ? file : short
}

function openInBrowser(file: string): void {
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  spawn(program, [pathToFileURL(file).href], { stdio: 'ignore', detached: true })
    .on('error', () => say(`no ${program} here: open ${file} yourself`))
    .unref()
}
