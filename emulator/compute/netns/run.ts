// Runs the programs that make networks and disks (ip, nft, mkfs.ext4 …), in a network namespace or not.

import { execFile } from 'node:child_process'

export interface RunOptions {
  /** The name of a network namespace (/run/netns). */
  netns?: string
  /** Standard input. */
  input?: string
}

const TIMEOUT_MS = 30_000
const OUTPUT_MAX = 16 * 2 ** 20

/** Standard output. Rejects with what the program said. */
export function run(
  command: string,
  args: readonly string[],
  { netns, input }: RunOptions = {},
): Promise<string> {
  // `ip netns exec` would remount /sys and hide the cgroups.
  const argv = netns === undefined ? [command, ...args] : [...inNetns(netns), command, ...args]
  const [program = '', ...rest] = argv
  return new Promise((resolve, reject) => {
    const options = { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_MAX }
    const child = execFile(program, rest, options, (error, stdout, stderr) => {
      if (!error) resolve(stdout)
      else reject(new Error(`${command} ${args.join(' ')}: ${stderr.trim() || error.message}`))
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

/** The command that puts the one after it into a network namespace. */
export function inNetns(name: string): string[] {
  return ['nsenter', `--net=/run/netns/${name}`]
}

/** What to put before a command that must not outlive this process, however this one dies. */
export const DYING_WITH_US = ['setpriv', '--pdeathsig', 'KILL', '--'] as const

/** Several `ip` commands at once, in a namespace or in this one; stops at the first that fails. */
export async function ip(commands: readonly string[], netns?: string): Promise<void> {
  const where = netns === undefined ? [] : ['-n', netns]
  await run('ip', [...where, '-batch', '-'], {
    input: commands.map((line) => `${line}\n`).join(''),
  })
}

/** Loads rules; all of them or none. */
export async function nft(rules: string, netns: string): Promise<void> {
  await run('nft', ['-f', '-'], { netns, input: rules })
}

/** True when it went; a failure means that there was nothing to do. */
export async function attempt(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch {
    return false
  }
}
