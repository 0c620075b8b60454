// Google's side of a laptop's Wherry: Compute Engine with its VMs, and the one address that gcloud and
// the Compute client speak to (Compute, GKE and Service Usage APIs).

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Hono } from 'hono'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { claimBalancerNet } from './compute/balancer-net.ts'
import { createComputeEmulator, type ComputeEmulator } from './compute/compute-engine.ts'
import { createProcessMachines } from './compute/process-machines.ts'
import { createVpc, type Vpc } from './compute/vpc.ts'
import { createFaults, type FaultPod } from './faults.ts'
import type { IdentitySigner } from './google/identity.ts'
import { freePort } from './google/free-port.ts'
import { serve, type RunningServer } from './serve.ts'

interface CloudSideOptions {
  project: string
  /** VMs' disks and output. */
  dir: string
  /** Remembers the port, so that a gcloud configuration stays good. */
  portFile: string
  /** The agent program and where its container images are. */
  agent: { program: string; images: readonly string[] }
  pubsubHost: string
  bus: Bus
  identity: IdentitySigner
  clock: Clock
  log: Log
  saved: unknown
  onChange(): void
  /** Answers what is not Compute's: the GKE API. Asked for at each request. */
  rest(): Pick<Hono, 'fetch'>
  /** For faults on request (faults.ts). */
  adminToken: string
  pods(): Promise<FaultPod[]>
}

export interface CloudSide {
  compute: ComputeEmulator
  vpc: Vpc
  /** `http://127.0.0.1:18085`. */
  url: string
  port: number
  stop(): Promise<void>
}

const PROJECT_NUMBER = '123456789012'
const PREFERRED_PORT = 18_085
const HOST = '127.0.0.1'

/** Listens, and makes the VMs' host; VMs start with `compute.start()`. */
export async function openCloudSide(options: CloudSideOptions): Promise<CloudSide> {
  const { project, clock, log, bus } = options
  const vpc = createVpc()
  const balancers = await claimBalancerNet()
  let compute: ComputeEmulator | undefined
  let faults: Hono | undefined
  const app = {
    fetch: (request: Request): Response | Promise<Response> => {
      const { pathname } = new URL(request.url)
      if (pathname.startsWith('/vpc/')) return vpc.app.fetch(request)
      if (pathname.startsWith('/compute/') && compute) return compute.app.fetch(request)
      if (pathname === '/faults' && faults) return faults.fetch(request)
      return options.rest().fetch(request)
    },
  }
  const server = await listen(app, options.portFile)
  compute = createComputeEmulator({
    project,
    projectNumber: PROJECT_NUMBER,
    clock,
    log,
    vpc,
    balancerNet: balancers.net,
    saved: options.saved,
    onChange: () => options.onChange(),
    machines: createProcessMachines({
      project,
      projectNumber: PROJECT_NUMBER,
      dir: options.dir,
      command: [process.execPath, options.agent.program],
      env: {
        WHERRY_VPC_URL: server.url,
        WHERRY_IMAGES: options.agent.images.join(process.platform === 'win32' ? ';' : ':'),
        WHERRY_RUNTIME: 'process',
        WHERRY_NETWORK: 'loopback',
        PUBSUB_EMULATOR_HOST: options.pubsubHost,
      },
      identity: options.identity,
      clock,
      log,
    }),
    publish: (entry) =>
      bus.publish(TOPICS.signals, { attributes: {}, data: JSON.stringify(entry) }),
  })
  const emulator = compute
  faults = createFaults({ ...options, compute: emulator })
  return {
    compute: emulator,
    vpc,
    url: server.url,
    port: server.port,
    stop: async () => {
      await emulator.close()
      await balancers.release()
      await server.close()
    },
  }
}

/** On the port of last time, the usual one, or a free one: whichever is to be had. */
async function listen(app: Parameters<typeof serve>[0], file: string): Promise<RunningServer> {
  const remembered = existsSync(file) ? Number(readFileSync(file, 'utf8')) : PREFERRED_PORT
  for (const port of [remembered, PREFERRED_PORT, await freePort()]) {
    try {
      const server = await serve(app, { host: HOST, port })
      writeFileSync(file, String(server.port))
      return server
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error
    }
  }
  throw new Error('no port is free for the Compute and GKE APIs')
}
