// The node agent's program: reads the environment, puts the agent together, and watches the power.
//
// Environment: GCE_METADATA_HOST, WHERRY_RUNTIME (process, docker), WHERRY_NETWORK (loopback, kernel),
// WHERRY_STATE_DIR, WHERRY_IMAGES (folders, separated like PATH), WHERRY_DOCKER_SOCKET,
// WHERRY_ALLOW_PRIVILEGED (true), WHERRY_VPC_URL, WHERRY_DEVICES (folder with
// the machine's disks by name), and what the Pub/Sub client reads
// (PUBSUB_EMULATOR_HOST). Standard input is the power cord where it is a pipe: when it closes, everything
// is dead at once. SIGTERM is the power button: containers are asked to stop. SIGHUP ends the agent
// alone: with the docker runtime its containers run on, and the next agent adopts them.

import { fstatSync, mkdirSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import { createBlockDriver } from './disks/block-driver.ts'
import type { DiskDriver } from './disks/driver.ts'
import { createFolderDriver } from './disks/folder-driver.ts'
import { createLineLog } from './log.ts'
import { openAddressPool } from './network/address-pool.ts'
import { createLoopback } from './network/loopback.ts'
import { createKernelNetwork } from './network/kernel/kernel-network.ts'
import { openVpcRoutes } from './network/vpc-routes.ts'
import { keptStateFile, loadState } from './node/kept-state.ts'
import { openMetadata } from './node/metadata.ts'
import type { Metadata } from './node/metadata.ts'
import { untilDone } from './node/retry.ts'
import { createNodeCredential } from './node/registry-credential.ts'
import { createProcessRuntime } from './runtime/process.ts'
import type { Runtime } from './runtime/runtime.ts'

/** What a VM gives its programs between the power button and the end is 30 s for Spot; never less. */
const SHUTDOWN_SECONDS = 25

/** The machine's files, also where the agent is a container in the machine's process namespace. */
const MACHINE_ROOT = '/proc/1/root'

const log = createLineLog((line) => void process.stdout.write(line))

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const { WHERRY_NETWORK: networkName = 'loopback' } = env
  if (networkName !== 'loopback' && networkName !== 'kernel') {
    throw new Error(`unknown WHERRY_NETWORK: ${networkName}`)
  }
  const stateDir = resolve(needed(env, 'WHERRY_STATE_DIR'))
  mkdirSync(stateDir, { recursive: true })
  const metadata = openMetadata(env['GCE_METADATA_HOST'] ?? 'metadata.google.internal')
  const booting = new AbortController()
  const { signal } = booting
  const open = (): Promise<Runtime> => openRuntime(env, stateDir, metadata)
  // Side by side: pods wait for names while an agent starts.
  const opening = untilDone('opening the container runtime', open, log, signal)
  void opening.then((opened) => watchPower(() => opened.cutPower()))
  const facts = await untilDone('reading the metadata', () => metadata.facts(), log, signal)
  const pool = openAddressPool(facts.podRange, join(stateDir, 'addresses.json'))
  const now = (): number => Date.now()
  const network =
    networkName === 'kernel'
      ? await createKernelNetwork({
          node: facts,
          api: apiAddress(facts.apiUrl),
          pool,
          remembered: loadState(keptStateFile(stateDir), facts.id),
          stateDir,
          log,
          now,
        })
      : createLoopback({
          node: { name: facts.name, ip: facts.ip },
          pool,
          routes: openVpcRoutes(needed(env, 'WHERRY_VPC_URL'), facts.name),
        })
  // Only now: pods have names again before most of the agent's program is loaded.
  const { startAgent } = await import('./agent.ts')
  const runtime = await opening
  const agent = await startAgent({
    facts,
    metadata,
    runtime,
    network,
    diskDriver: openDiskDriver(env, stateDir),
    pool,
    stateDir,
    allowsPrivileged: env['WHERRY_ALLOW_PRIVILEGED'] === 'true',
    machineRoot: runtime.isContained ? MACHINE_ROOT : '/',
    log,
    now,
  })
  process.once('SIGHUP', () => process.exit(0))
  process.once('SIGTERM', () => {
    void agent.shutDown(SHUTDOWN_SECONDS).finally(() => process.exit(0))
  })
}

/** Where the API is, when its URL names an address and not a host. */
function apiAddress(url: string): { ip: string; port: number } | undefined {
  const { hostname, port, protocol } = new URL(url)
  if (!isIPv4(hostname)) return undefined
  return { ip: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

async function openRuntime(
  env: NodeJS.ProcessEnv,
  stateDir: string,
  metadata: Metadata,
): Promise<Runtime> {
  switch (env['WHERRY_RUNTIME'] ?? 'process') {
    case 'process': {
      const images = (env['WHERRY_IMAGES'] ?? '').split(delimiter).filter(Boolean)
      return createProcessRuntime({ images, stateDir })
    }
    case 'docker': {
      // Only where it is used: its client takes time and memory.
      const { createDockerRuntime } = await import('./runtime/docker/docker.ts')
      return createDockerRuntime({
        socketPath: env['WHERRY_DOCKER_SOCKET'] ?? '/var/run/docker.sock',
        owner: stateDir,
        nodeCredential: createNodeCredential(metadata),
        machineRoot: MACHINE_ROOT,
        log,
      })
    }
    default:
      // Trying again does not help.
      log.error('unknown WHERRY_RUNTIME', { runtime: env['WHERRY_RUNTIME'] ?? '' })
      return process.exit(1)
  }
}

function openDiskDriver(env: NodeJS.ProcessEnv, stateDir: string): DiskDriver {
  const devices = env['WHERRY_DEVICES']
  if ((env['WHERRY_RUNTIME'] ?? 'process') !== 'process') return createBlockDriver(devices)
  return createFolderDriver(devices ?? join(stateDir, 'devices'))
}

function watchPower(cut: () => void): void {
  const input = fstatSync(0)
  if (!input.isFIFO() && !input.isSocket()) return
  const off = (): void => {
    cut()
    process.exit(1)
  }
  process.stdin.on('end', off)
  process.stdin.on('error', off)
  process.stdin.resume()
}

function needed(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name]
  if (!value) throw new Error(`${name} is not set`)
  return value
}

process.on('uncaughtException', (error) => {
  // Whoever starts the agent again starts with a clean record; it ends the containers left here.
  log.error('the agent has failed', { error })
  process.exit(1)
})

main(process.env).catch((error: unknown) => {
  log.error('the agent could not start', { error })
  process.exit(1)
})
