// The Compute driver on Google Compute Engine, through Google's client library. With `endpoint` it
// talks to the emulator (emulator/compute/) instead.

import type { Clock } from '#shared/ports/clock.ts'
import type { Compute } from '#shared/ports/compute.ts'
import { applyLoadBalancer, deleteLoadBalancer, listLoadBalancers } from './compute-balancers.ts'
import { createComputeCalls } from './compute-calls.ts'
import { createComputeClients, type ClientOptions } from './compute-clients.ts'
import {
  applyInstanceGroup,
  deleteInstanceGroup,
  type GroupContext,
  type VmImage,
} from './compute-groups.ts'
import { deleteInstance, listInstances } from './compute-instances.ts'

export interface GoogleComputeOptions {
  project: string
  /** Asked about by `ping`; node pools and load balancers name their own places. */
  region: string
  clock: Clock
  /** Absent: Google's. The emulator is `{ host: '127.0.0.1', port, protocol: 'http' }`. */
  endpoint?: { host: string; port: number; protocol: 'http' | 'https' }
  /** Absent: the machine's own credentials. Emulators take google-auth-library's PassThroughClient. */
  authClient?: ClientOptions['authClient']
  image?: Partial<VmImage>
  operationTimeoutMs?: number
}

/** The driver, and what ends it. */
export interface GoogleCompute extends Compute {
  close(): Promise<void>
}

const DEFAULT_IMAGE: VmImage = {
  sourceImage: 'projects/cos-cloud/global/images/family/cos-stable',
  network: 'global/networks/default',
  podRangeName: 'pods',
}

const OPERATION_TIMEOUT_MS = 120_000

export function createGoogleCompute(options: GoogleComputeOptions): GoogleCompute {
  const { project, region, clock, endpoint, authClient } = options
  const clients = createComputeClients({
    projectId: project,
    ...(endpoint
      ? { apiEndpoint: endpoint.host, port: endpoint.port, protocol: endpoint.protocol }
      : {}),
    ...(authClient ? { authClient } : {}),
  })
  const operationTimeoutMs = options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS
  const calls = createComputeCalls({ project, clients, clock, operationTimeoutMs })
  const image = { ...DEFAULT_IMAGE, ...options.image }
  const context: GroupContext = { project, clients, calls, image }
  return {
    applyInstanceGroup: (spec) => applyInstanceGroup(context, spec),
    deleteInstanceGroup: (name, zone) => deleteInstanceGroup(context, name, zone),
    listInstances: (labels) => listInstances(context, labels),
    deleteInstance: (group, zone, instance, shrink) =>
      deleteInstance(context, { group, zone, instance, shrink }),
    applyLoadBalancer: (spec) => applyLoadBalancer(context, spec),
    deleteLoadBalancer: (name, where) => deleteLoadBalancer(context, name, where),
    listLoadBalancers: (prefix) => listLoadBalancers(context, prefix),
    async ping() {
      await calls.read('get region', async (limit) =>
        (await clients.regions()).get({ project, region }, limit),
      )
    },
    close: () => clients.close(),
  }
}
