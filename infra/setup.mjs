// What every entry point needs before TypeScript can run: the packages of package-lock.json and a
// Node that runs .ts files. Plain JavaScript for any Node from 18 on, without packages.
// Run by itself (`node infra/setup.mjs`) it only installs.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { constants as osConstants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The repository. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

const OLDEST_NODE = 18
const REMINDER_MS = 15_000
const FOLLOW_PARENT = join(ROOT, 'infra', 'follow-parent.mjs')

/** Something a person can mend: the text is all that is shown. */
export class SetupError extends Error {}

/**
 * Installs what is missing and answers the Node to run TypeScript with.
 * @param {{ root?: string, say?: (text: string) => void, isTerminal?: boolean }} [options]
 * @returns {Promise<string>} the path of a Node
 */
export async function prepare(options = {}) {
  const { root = ROOT, say = (text) => process.stderr.write(`${text}\n`) } = options
  const { isTerminal = process.stderr.isTTY === true } = options
  const major = Number(process.versions.node.split('.')[0])
  if (major < OLDEST_NODE) {
    throw new SetupError(
      `Node ${process.versions.node} is too old: ${OLDEST_NODE} or newer starts Wherry (it brings the Node that it runs on).`,
    )
  }
  if (!isInstalled(root)) {
    say('Installing packages as package-lock.json names them (once; a minute or more) …')
    const startedAt = Date.now()
    const seconds = () => Math.round((Date.now() - startedAt) / 1000)
    // On a terminal npm itself shows how it goes.
    const reminder = setInterval(() => !isTerminal && say(`… ${seconds()} s`), REMINDER_MS)
    await install(root, isTerminal).finally(() => clearInterval(reminder))
    say(`Packages installed in ${seconds()} s.`)
  }
  return findNode(root)
}

/** True when node_modules is what package-lock.json asks for. */
function isInstalled(root) {
  const lock = join(root, 'package-lock.json')
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installed)) return false
  // A checkout touches the file without changing it: its content counts, if we installed it.
  if (readIfThere(stampFile(root)) === hashOf(lock)) return true
  return statSync(installed).mtimeMs >= statSync(lock).mtimeMs
}

function stampFile(root) {
  return join(root, 'node_modules', '.wherry-lock')
}

function hashOf(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

async function install(root, isTerminal) {
  try {
    accessSync(root, constants.W_OK)
  } catch {
    throw new SetupError(`${root} cannot be written: packages have to be installed there first.`)
  }
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const { code, output } = await run(npmCommand(), args, root, isTerminal)
  if (code !== 0) throw new SetupError(explain(code, output))
  writeFileSync(stampFile(root), hashOf(join(root, 'package-lock.json')))
}

function npmCommand() {
  return process.platform === 'win32' ? 'npm.cmd' : 'npm'
}

/** Runs it to its end; its output is shown on a terminal and kept for an explanation. */
function run(command, args, cwd, isTerminal) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, PATH: pathWithoutPackages(cwd) },
      stdio: ['ignore', isTerminal ? 'inherit' : 'pipe', isTerminal ? 'inherit' : 'pipe'],
      shell: process.platform === 'win32',
    })
    let output = ''
    child.stdout?.on('data', (chunk) => (output += chunk))
    child.stderr?.on('data', (chunk) => (output += chunk))
    child.once('error', (error) =>
      fail(
        new SetupError(
          error.code === 'ENOENT'
            ? 'npm is not installed: it comes with Node (https://nodejs.org).'
            : `npm cannot be started: ${error.message}`,
        ),
      ),
    )
    child.once('close', (code) => done({ code, output }))
  })
}

/** npm must not run on the Node inside the folder that it replaces. */
function pathWithoutPackages(root) {
  const own = join(root, 'node_modules', '.bin')
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => resolve(folder) !== own)
    .join(delimiter)
}

function explain(code, output) {
  const details = output.trim() ? `\n\n${output.trim().split('\n').slice(-15).join('\n')}` : ''
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET/.test(output)) {
    return `The packages cannot be fetched: npm does not reach its registry (see: npm config get registry; behind a proxy set HTTPS_PROXY).${details}`
  }
  if (/EROFS|EACCES|EPERM/.test(output)) {
    return `The packages cannot be installed: npm may not write here.${details}`
  }
  if (/ENOSPC/.test(output)) return `The packages cannot be installed: the disk is full.${details}`
  return `npm ci ended with code ${code}.${details}`
}

/** The packaged Node 24; else the running one, when it strips types without a flag. */
async function findNode(root) {
  const windows = process.platform === 'win32'
  const packaged = join(root, 'node_modules', 'node', 'bin', windows ? 'node.exe' : 'node')
  const folder = join(root, 'node_modules', 'node')
  if (existsSync(packaged)) return packaged
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)) {
    return process.execPath
  }
  // An npm that runs no install scripts has left it out: the script is run here.
  if (existsSync(folder)) {
    await run(process.execPath, ['installArchSpecificPackage.js'], folder, false)
    if (existsSync(packaged)) return packaged
  }
  throw new SetupError(
    `Node ${process.versions.node} does not run TypeScript, and the Node that comes with the packages is not there. Install Node 24 (https://nodejs.org), or allow install scripts: npm ci --ignore-scripts=false`,
  )
}

/**
 * Runs `args` on `node` until it ends and answers its exit code. Signals are passed on; the child
 * has a process group of its own, so that Ctrl-C reaches it once, through us. When we are killed it
 * is told (infra/follow-parent.mjs), so that nothing stays behind.
 */
export function runOn(node, args, { root = ROOT } = {}) {
  return new Promise((done, fail) => {
    const windows = process.platform === 'win32'
    const child = spawn(node, ['--import', pathToFileURL(FOLLOW_PARENT).href, ...args], {
      cwd: root,
      env: {
        ...process.env,
        PATH: [join(root, 'node_modules', '.bin'), pathWithoutPackages(root)].join(delimiter),
        WHERRY_PARENT: String(process.pid),
      },
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      detached: !windows,
    })
    const signals = windows ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, () => child.kill(signal))
    child.once('error', fail)
    child.once('exit', (code, signal) =>
      done(signal ? 128 + (osConstants.signals[signal] ?? 0) : (code ?? 1)),
    )
  })
}

/** Runs an entry point: a SetupError is shown as its text, nothing else. */
export async function main(work) {
  try {
    process.exitCode = await work()
  } catch (error) {
    process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`)
    process.exitCode = 1
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(async () => {
    await prepare()
    return 0
  })
}
