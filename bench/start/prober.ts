// Says when addresses first answer over HTTP, asked from a network that can be chosen: a process of its
// own (prober-program.ts), so that the same eyes look at both sides of a comparison.

import { spawn } from 'node:child_process'
import { join } from 'node:path'

export interface Prober {
  /** Milliseconds since 1970 at which the last of them had answered with 200. Rejects after `timeoutMs`. */
  whenAllAnswer(urls: readonly string[], timeoutMs?: number): Promise<number>
  close(): void
}

const PROGRAM = join(import.meta.dirname, 'prober-program.ts')

/** `enter`: a command that runs the one after it elsewhere; empty: here. */
export function startProber(enter: readonly string[] = []): Prober {
  const [program, ...args] = [...enter, process.execPath, PROGRAM]
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, (at: number) => void>()
  let count = 0
  child.on('message', ({ id, at }: { id: number; at: number }) => {
    waiting.get(id)?.(at)
    waiting.delete(id)
  })
  return {
    whenAllAnswer(urls, timeoutMs = 60_000) {
      const id = count++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id)
          reject(new Error(`no answer within ${timeoutMs / 1000} s from ${urls.join(', ')}`))
        }, timeoutMs)
        waiting.set(id, (at) => {
          clearTimeout(timer)
          resolve(at)
        })
        child.send({ id, urls })
      })
    },
    close() {
      if (child.connected) child.disconnect()
    },
  }
}
