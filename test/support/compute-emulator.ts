// An emulated Compute Engine with machines that are only remembered, a server for it on a free port,
// and Google's own driver that talks to it.

import { PassThroughClient } from 'google-auth-library'
import { createMemoryLog, type MemoryLog } from '#emulator/adapters/memory-log.ts'
import type { LogEntry } from '#emulator/compute/audit-log.ts'
import {
  createComputeEmulator,
  type ComputeEmulator,
  type ComputeEmulatorOptions,
} from '#emulator/compute/compute-engine.ts'
import { createMemoryMachines, type MemoryMachines } from '#emulator/compute/memory-machines.ts'
import { createVpc, type Vpc } from '#emulator/compute/vpc.ts'
import { serve } from '#emulator/serve.ts'
import { createGoogleCompute, type GoogleCompute } from '#functions/adapters/google-compute.ts'
import type { ComputeConnection } from '#functions/adapters/compute-connection.ts'
import {
  createGoogleHttpBalancers,
  type GoogleHttpBalancers,
} from '#functions/adapters/google-http-balancers.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'

export const PROJECT = 'demo-wherry'

export interface OpenComputeEmulator {
  emulator: ComputeEmulator
  machines: MemoryMachines
  vpc: Vpc
  log: MemoryLog
  /** What the log sink got. */
  entries: LogEntry[]
  close: () => Promise<void>
}

/** Everything is new. */
export async function openComputeEmulator(
  options: Partial<ComputeEmulatorOptions> = {},
): Promise<OpenComputeEmulator> {
  const machines = createMemoryMachines()
  const vpc = createVpc()
  const log = createMemoryLog()
  const entries: LogEntry[] = []
  const emulator = createComputeEmulator({
    project: PROJECT,
    clock: createSystemClock(),
    log,
    machines,
    vpc,
    publish: async (entry) => void entries.push(entry),
    ...options,
  })
  await emulator.start()
  return { emulator, machines, vpc, log, entries, close: () => emulator.close() }
}

export interface GoogleComputeAt {
  compute: GoogleCompute
  balancers: GoogleHttpBalancers
  url: string
  /** What every client of Google's library takes. */
  clientOptions: ReturnType<typeof clientOptions>
  /** From now on requests go to this emulator. */
  use(emulator: ComputeEmulator): void
  close(): Promise<void>
}

/** Google's driver and a server, to be put in front of any emulator. */
export async function openGoogleCompute(): Promise<GoogleComputeAt> {
  let current: ComputeEmulator | undefined
  const app = {
    fetch: (request: Request): Response | Promise<Response> =>
      current?.app.fetch(request) ?? new Response('no emulator', { status: 503 }),
  }
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  const { port, url } = server
  const connection: ComputeConnection = {
    project: PROJECT,
    clock: createSystemClock(),
    endpoint: { host: '127.0.0.1', port, protocol: 'http' },
    authClient: new PassThroughClient(),
  }
  const compute = createGoogleCompute({ ...connection, region: 'us-east1' })
  const balancers = createGoogleHttpBalancers(connection)
  return {
    compute,
    balancers,
    url,
    clientOptions: clientOptions(port),
    use: (emulator) => {
      current = emulator
    },
    async close() {
      await compute.close()
      await balancers.close()
      await server.close(0)
    },
  }
}

function clientOptions(port: number) {
  return {
    projectId: PROJECT,
    apiEndpoint: '127.0.0.1',
    port,
    protocol: 'http' as const,
    authClient: new PassThroughClient(),
  }
}
