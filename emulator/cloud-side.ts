// Google's side of a laptop's Wherry: Compute Engine with its VMs, and the one address that gcloud and
// the Compute client speak to (Compute, GKE and Service Usage APIs).

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Hono } from 'hono'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { createComputeEmulator, type ComputeEmulator } from './compute/compute-engine.ts'
import { openVmHost, type VmHostChoice } from './compute/choose-vm-host.ts'
import type { AddressPlan } from './compute/address-plan.ts'
import type { VmHost } from './compute/vm-host.ts'
import type { Vpc } from './compute/vpc.ts'
import { createFaults, type FaultPod } from './faults.ts'
import type { IdentitySigner } from './google/identity.ts'
import { freePort } from './google/free-port.ts'
import type { Outage } from './outage.ts'
import { serve, type RunningServer } from './serve.ts'

interface CloudSideOptions {
  project: string
  /** VMs' disks and output. */
  dir: string
  /** Remembers the port, so that a gcloud configuration stays good. */
  portFile: string
  /** The agent program and where its container images are. */
  agent: { program: string; images: readonly string[] }
  /** A folder for what may be made anew at any time. */
  cache: string
  /** Which VMs: see choose-vm-host.ts. */
  env: Readonly<Record<string, string | undefined>>
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
  outage: Pick<Outage, 'begin' | 'end'>
  adminToken: string
  pods(): Promise<FaultPod[]>
}

export interface CloudSide {
  compute: ComputeEmulator
  vpc: Vpc
  plan: AddressPlan
  host: VmHost
  /** What the VMs are, for people; what better ones would need. */
  machines: Pick<VmHostChoice, 'summary' | 'missing'>
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
  let vpc: Vpc | undefined
  let compute: ComputeEmulator | undefined
  let faults: Hono | undefined
  const app = {
    fetch: (request: Request): Response | Promise<Response> => {
      const { pathname } = new URL(request.url)
      if (pathname.startsWith('/vpc/') && vpc) return vpc.app.fetch(request)
      if (pathname.startsWith('/compute/') && compute) return compute.app.fetch(request)
      if (pathname === '/faults' && faults) return faults.fetch(request)
      return options.rest().fetch(request)
    },
  }
  const server = await listen(app, options.portFile)
  const chosen = await openVmHost({
    ...options,
    projectNumber: PROJECT_NUMBER,
    command: [process.execPath, options.agent.program],
    images: options.agent.images,
    url: server.url,
    instances: () => Object.values(compute?.save().instances ?? {}),
  }).catch(async (error: unknown) => {
    await server.close()
    throw error
  })
  const { host } = chosen
  vpc = host.vpc
  compute = createComputeEmulator({
    project,
    projectNumber: PROJECT_NUMBER,
    clock,
    log,
    vpc: host.vpc,
    plan: host.plan,
    ...(host.createBalancers ? { createBalancers: host.createBalancers } : {}),
    ...(host.createFirewall ? { createFirewall: host.createFirewall } : {}),
    saved: options.saved,
    onChange: () => options.onChange(),
    machines: host.machines,
    media: host.media,
    publish: (entry) =>
      bus.publish(TOPICS.signals, { attributes: {}, data: JSON.stringify(entry) }),
  })
  const emulator = compute
  faults = createFaults({ ...options, compute: emulator })
  return {
    compute: emulator,
    vpc: host.vpc,
    plan: host.plan,
    host,
    machines: chosen,
    url: server.url,
    port: server.port,
    stop: async () => {
      await emulator.close()
      await host.close()
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
