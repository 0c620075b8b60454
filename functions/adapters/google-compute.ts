// The Compute driver on Google Compute Engine, through Google's client library. With `endpoint` it
// talks to the emulator (emulator/compute/) instead.

import type { Compute } from '#shared/ports/compute.ts'
import type { Disks } from '#shared/ports/disks.ts'
import { applyLoadBalancer, deleteLoadBalancer, listLoadBalancers } from './compute-balancers.ts'
import { createComputeCalls } from './compute-calls.ts'
import { clientsFor, OPERATION_TIMEOUT_MS, type ComputeConnection } from './compute-connection.ts'
import { createComputeDisks } from './compute-disks.ts'
import {
  applyInstanceGroup,
  deleteInstanceGroup,
  type GroupContext,
  type VmImage,
} from './compute-groups.ts'
import { deleteInstance, listInstances } from './compute-instances.ts'

export interface GoogleComputeOptions extends ComputeConnection {
  /** Asked about by `ping`; node pools and load balancers name their own places. */
  region: string
  image?: Partial<VmImage>
}

/** The driver, that of the Disks port on the same clients, and what ends both. */
export interface GoogleCompute extends Compute {
  disks: Disks
  close(): Promise<void>
}

const DEFAULT_IMAGE: VmImage = {
  sourceImage: 'projects/cos-cloud/global/images/family/cos-stable',
  network: 'global/networks/default',
  podRangeName: 'pods',
}

export function createGoogleCompute(options: GoogleComputeOptions): GoogleCompute {
  const { project, region, clock } = options
  const clients = clientsFor(options)
  const operationTimeoutMs = options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS
  const calls = createComputeCalls({ project, clients, clock, operationTimeoutMs })
  const image = { ...DEFAULT_IMAGE, ...options.image }
  const context: GroupContext = { project, clients, calls, image }
  return {
    disks: createComputeDisks(context),
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
