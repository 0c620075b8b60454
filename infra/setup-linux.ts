// `npm run setup:linux`: installs what VMs with a Docker Engine each need, from Debian's (or Ubuntu's)
// packages, and says what is left. `--check` only says it.

import { spawnSync } from 'node:child_process'
import { missingForNetns, missingPrograms, PACKAGES } from '#emulator/compute/netns/offer.ts'

const PATH = process.env['PATH'] ?? ''
const isCheck = process.argv.includes('--check')

process.exitCode = await main()

async function main(): Promise<number> {
  const packages = [...new Set(missingPrograms(PATH).map((name) => PACKAGES[name] ?? name))]
  if (packages.length > 0 && !isCheck && !install(packages)) return 1
  const missing = await missingForNetns(PATH)
  say(
    missing.length === 0
      ? 'This machine can have VMs with a Docker Engine each: npm start takes them.'
      : `VMs with a Docker Engine each need ${missing.join(', ')}. Until then npm start takes processes.`,
  )
  return missing.length === 0 ? 0 : 1
}

function install(packages: readonly string[]): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    say(`As root on Debian or Ubuntu it installs ${packages.join(', ')}: sudo npm run setup:linux`)
    return false
  }
  say(`Installing ${packages.join(', ')} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' }
  const apt = (...args: string[]): boolean =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0
  apt('update', '-qq')
  if (apt('install', '-y', '-qq', '--no-install-recommends', ...packages)) return true
  say('apt-get could not install them.')
  return false
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
