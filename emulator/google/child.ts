// A child process that never outlives us: ended by its own pid, and killed by a watchdog when this
// process dies without a chance to do it (SIGKILL, power button of a debugger).

import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'

export interface Child {
  readonly pid: number
  /** Resolves when it has ended, by whomever, with a text such as `exit code 1`. */
  readonly ended: Promise<string>
  /** True until it has ended. */
  running(): boolean
  /** SIGTERM, and SIGKILL when it is still there after `graceMs`. Resolves when it has ended. */
  stop(graceMs?: number): Promise<void>
}

/**
 * Starts `command` in a process group of its own, so that Ctrl-C on the terminal reaches only us and
 * we end our children in the right order. Rejects when the command cannot be started.
 */
export async function startChild(
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env' | 'stdio'>,
): Promise<Child> {
  const child = spawn(command, args, { ...options, detached: true })
  const pid = await started(child)
  const release = watchdog(pid)
  let alive = true
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      alive = false
      release()
      resolve(signal ? `signal ${signal}` : `exit code ${code}`)
    })
  })
  return {
    pid,
    ended,
    running: () => alive,
    async stop(graceMs = 3000) {
      if (!alive) return
      child.kill('SIGTERM')
      // A frozen process hears SIGTERM only after it goes on.
      child.kill('SIGCONT')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await ended
      clearTimeout(timer)
    },
  }
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('spawn', () => {
      child.off('error', reject)
      child.on('error', () => undefined)
      resolve(child.pid ?? 0)
    })
  })
}

/**
 * A shell that waits on a pipe whose other end only we hold: when we are gone, however, the pipe
 * closes and the shell kills `pid`. Released (killed) when the child has ended, so that a pid which
 * somebody else got since is never hit.
 */
function watchdog(pid: number): () => void {
  if (process.platform === 'win32') return () => undefined
  const shell = spawn('/bin/sh', ['-c', `read -r _; kill -9 ${pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  shell.on('error', () => undefined)
  shell.unref()
  const pipe = shell.stdin
  // The pipe must not keep this process alive; its type hides that it is a socket.
  if (pipe && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  return () => shell.kill('SIGKILL')
}
