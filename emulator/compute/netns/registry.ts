// The image registry of the VPC, with the images of this machine's folders in it: Debian's
// docker-registry in the VPC's namespace, at the gateway's address. VMs ask it first for everything
// that is named without a host, before Docker Hub.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '#shared/ports/log.ts'
import { publishImages } from '../../images/publish.ts'
import { openRegistry } from '../../images/registry-client.ts'
import { DYING_WITH_US, inNetns } from './run.ts'
import type { Slot } from './slots.ts'
import { registryOf } from './vpc-namespace.ts'

interface RegistryOptions {
  dir: string
  images: readonly string[]
  /** Keeps layers between starts, for every home folder. */
  cache: string
  log: Log
}

const READY_MS = 30_000
const LOOK_MS = 50

/** Resolves when it serves all images. */
export async function startRegistry(
  slot: Slot,
  { dir, images, cache, log }: RegistryOptions,
): Promise<{ close(): Promise<void> }> {
  const address = registryOf(slot)
  const folder = join(dir, 'registry')
  mkdirSync(folder, { recursive: true })
  const config = join(dir, 'registry.yml')
  writeFileSync(config, configuration(folder, address))
  const output = openSync(join(dir, 'registry.log'), 'w')
  const [program, ...args] = [
    ...DYING_WITH_US,
    ...inNetns(slot.name),
    'docker-registry',
    'serve',
    config,
  ]
  const child = spawn(program, args, { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done())
    child.once('error', () => done())
  })
  const close = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  try {
    await untilReady(
      `http://${address}`,
      () => child.exitCode !== null || child.signalCode !== null,
    )
    const published = await publishImages({
      folders: images,
      cache,
      registry: openRegistry(`http://${address}`),
    })
    log.info('the image registry serves', { registry: address, images: published.join(' ') })
  } catch (error) {
    await close()
    throw error
  }
  return { close }
}

async function untilReady(url: string, hasEnded: () => boolean): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (!hasEnded() && Date.now() < deadline) {
    const answers = await fetch(`${url}/v2/`, { signal: AbortSignal.timeout(1000) }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (answers) return
    await delay(LOOK_MS)
  }
  throw new Error('the image registry does not start; its log is registry.log')
}

/** JSON is YAML. */
function configuration(folder: string, address: string): string {
  return JSON.stringify({
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: folder }, delete: { enabled: true } },
    http: { addr: address },
  })
}
