// Starting a process for a container: its environment, its program, and how it ended.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { PassThrough } from 'node:stream'
import { MARK, signal } from './process-tree.ts'
import { StartRefused } from './runtime.ts'
import type { ContainerToStart, Exec } from './runtime.ts'

/** A shell's exit code: what the process said, or 128 and the number of the signal that ended it. */
export function exitCodeOf(code: number | null, name: NodeJS.Signals | null): number {
  return code ?? 128 + (name ? constants.signals[name] : 0)
}

/** Nothing of the agent's own environment reaches a container. */
export function environment(
  container: ContainerToStart,
  image: { env: Readonly<Record<string, string>> },
  mark: string,
): Record<string, string> {
  const path = `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`
  return { PATH: path, HOME: '/tmp', LANG: 'C.UTF-8', ...image.env, ...container.env, [MARK]: mark }
}

/** `node` is the Node.js that runs the agent, whatever the machine has. */
export function commandOf(argv: readonly string[]): string[] {
  const [program = '', ...rest] = argv
  return [program === 'node' ? process.execPath : program, ...rest]
}

/** `hasReadyPipe`: with a pipe on descriptor 3 on which it says that its mounts are in place. */
export function launch(
  line: readonly string[],
  cwd: string,
  env: Record<string, string>,
  pipes: { hasStdin: boolean; hasReadyPipe: boolean },
): ChildProcess {
  const [program = '', ...rest] = line
  const stdin = pipes.hasStdin ? 'pipe' : 'ignore'
  const child = spawn(program, rest, {
    cwd,
    env,
    detached: true,
    stdio: pipes.hasReadyPipe ? [stdin, 'pipe', 'pipe', 'pipe'] : [stdin, 'pipe', 'pipe'],
  })
  // It may end without having read what was typed.
  child.stdin?.on('error', () => undefined)
  return child
}

/** Its pid, or StartRefused (StartError) when the program cannot be run. */
export function spawned(child: ChildProcess, program: string): Promise<number> {
  return new Promise((done, fail) => {
    child.once('spawn', () => {
      child.on('error', () => undefined)
      done(child.pid ?? 0)
    })
    child.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'ENOENT'
          ? `exec: "${program}": executable file not found in $PATH`
          : error.code === 'EACCES'
            ? `exec: "${program}": permission denied`
            : error.message
      fail(new StartRefused('StartError', `failed to start the process: ${why}`))
    })
  })
}

/** Waits for `ready` on descriptor 3; without it the mounts failed and stderr says how. */
export function mounted(child: ChildProcess): Promise<void> {
  return new Promise((done, fail) => {
    const pipe = child.stdio[3]
    let isReady = false
    let said = Buffer.alloc(0)
    const listen = (chunk: Buffer): void => void (said = Buffer.concat([said, chunk]))
    child.stderr?.on('data', listen)
    pipe?.on('data', () => {
      isReady = true
      // What is there already may be the program's: it waits for who reads its output.
      child.stderr?.off('data', listen).pause()
      if (said.length > 0 && !child.stderr?.readableEnded) child.stderr?.unshift(said)
      done()
    })
    child.once('close', () => {
      if (!isReady)
        fail(new StartRefused('CreateContainerError', `cannot mount: ${said.toString().trim()}`))
    })
  })
}

/** Runs one more command for a container. */
export function runExec(
  line: readonly string[],
  cwd: string,
  env: Record<string, string>,
): { child: ChildProcess; exec: Exec } {
  const [program = '', ...rest] = line
  const child = spawn(program, rest, { cwd, env, detached: true, stdio: 'pipe' })
  const stderr = new PassThrough()
  child.stderr.pipe(stderr, { end: false })
  child.stdin.on('error', () => undefined)
  const ended = new Promise<number>((done) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'executable file not found in $PATH' : error.message
      stderr.end(`exec: "${program}": ${why}\n`)
      done(error.code === 'ENOENT' ? 127 : 126)
    })
    child.once('close', (code, name) => {
      stderr.end()
      done(exitCodeOf(code, name))
    })
  })
  const kill = (): void => {
    if (child.pid) signal(-child.pid, 'SIGKILL')
  }
  const { stdin, stdout } = child
  const resize = (): void => undefined
  return { child, exec: { stdin, stdout, stderr, ended, kill, resize } }
}
