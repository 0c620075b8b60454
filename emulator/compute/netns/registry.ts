// The image registry of the VPC, with the images of this machine's folders in it: Debian's
// docker-registry in the VPC's namespace, at the gateway's address. VMs ask it first for everything
// that is named without a host, before Docker Hub.

import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '#shared/ports/log.ts'
import { publishImages } from '../../images/publish.ts'
import { openRegistry } from '../../images/registry-client.ts'
import { attempt, DYING_WITH_US, inNetns, run } from './run.ts'
import type { Slot } from './slots.ts'
import { registryOf } from './vpc-namespace.ts'

interface RegistryOptions {
  dir: string
  images: readonly string[]
  /** Keeps layers between starts, for every home folder. */
  cache: string
  log: Log
}

/** Where docker-registry keeps everything. */
const CONTENT = 'docker/registry/v2'
const READY_MS = 30_000
const LOOK_MS = 50

/** Resolves when it serves all images. */
export async function startRegistry(
  slot: Slot,
  { dir, images, cache, log }: RegistryOptions,
): Promise<{ close(): Promise<void> }> {
  const address = registryOf(slot)
  const folder = join(dir, 'registry')
  const seed = join(cache, 'registry')
  if (!existsSync(folder)) await copyByLink(seed, folder)
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
    if (!existsSync(seed)) await copyByLink(folder, seed)
    log.info('the image registry serves', { registry: address, images: published.join(' ') })
  } catch (error) {
    await close()
    throw error
  }
  return { close }
}

/**
 * Blobs are never changed, so a fresh home shares them with the one before: nothing is pushed twice.
 * Where that cannot be (another file system, nothing there yet), all is pushed anew.
 */
async function copyByLink(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return
  const unfinished = `${to}.${process.pid}.new`
  const into = join(unfinished, CONTENT)
  mkdirSync(into, { recursive: true })
  const blobs = await attempt(run('cp', ['-al', join(from, CONTENT, 'blobs'), into]))
  // What names lead to is written in place: each home has its own.
  const names = await attempt(run('cp', ['-a', join(from, CONTENT, 'repositories'), into]))
  if (blobs && names) renameSync(unfinished, to)
  else await rm(unfinished, { recursive: true, force: true })
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
