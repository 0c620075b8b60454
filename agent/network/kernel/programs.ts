// Runs the kernel's tools: ip, nft, nsenter, conntrack.

import { spawn } from 'node:child_process'

/** A tool hangs only when the machine does. */
const TIMEOUT_MS = 60_000

/** The end of a tool's complaint is enough for a log. */
const ERROR_CHARACTERS_MAX = 2000

/** Runs one; answers its standard output. Rejects with what it said when it fails. */
export function run(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe', timeout: TIMEOUT_MS })
    const output: Buffer[] = []
    const errors: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(output).toString())
      const said = Buffer.concat(errors).toString().trim().slice(0, ERROR_CHARACTERS_MAX)
      reject(new Error(`${program} ${args.join(' ')}: ${said || (signal ?? `exit code ${code}`)}`))
    })
    // It may end before it has read everything.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
