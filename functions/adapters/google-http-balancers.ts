// The HttpBalancers driver on Google's global external Application Load Balancer, through Google's client
// library. With `endpoint` it talks to the emulator (emulator/compute/) instead.
// https://cloud.google.com/load-balancing/docs/https

import type { HttpBalancers, HttpBalancerSpec } from '#shared/ports/http-balancers.ts'
import { isReason } from '#shared/status.ts'
import { createComputeCalls } from './compute-calls.ts'
import { clientsFor, OPERATION_TIMEOUT_MS, type ComputeConnection } from './compute-connection.ts'
import { listEndpoints, setEndpoints } from './compute-endpoints.ts'
import {
  deleteFront,
  deleteHttpAddress,
  ensureCertificates,
  ensureFront,
  ensureHttpAddress,
} from './compute-http-front.ts'
import { deleteParts, ensureBackends, listParts, type HttpContext } from './compute-http-parts.ts'

export interface GoogleHttpBalancersOptions extends ComputeConnection {
  /** `global/networks/default`. */
  network?: string
}

/** The driver, and what ends it. */
export interface GoogleHttpBalancers extends HttpBalancers {
  close(): Promise<void>
}

export function createGoogleHttpBalancers(
  options: GoogleHttpBalancersOptions,
): GoogleHttpBalancers {
  const { project, clock, network = 'global/networks/default' } = options
  const clients = clientsFor(options)
  const operationTimeoutMs = options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS
  const calls = createComputeCalls({ project, clients, clock, operationTimeoutMs })
  const context: HttpContext = { project, clients, calls, network }
  return {
    async apply(spec) {
      try {
        return await apply(context, spec)
      } catch (error) {
        // Somebody else changed it meanwhile: once more, from what is there now.
        if (!isReason(error, 'Conflict')) throw error
        return apply(context, spec)
      }
    },
    setEndpoints: (group, endpoints) => setEndpoints({ ...context, clock }, group, endpoints),
    endpoints: (group) => listEndpoints(context, group, 'SHOW'),
    async remove(name) {
      await deleteFront(context, name)
      await deleteParts(context, await listParts(context, name), undefined, [])
      await deleteHttpAddress(context, name)
    },
    list: (prefix) => listBalancers(context, prefix),
    close: () => clients.close(),
  }
}

/** Nothing is taken away before what replaces it is there. */
async function apply(
  context: HttpContext,
  spec: HttpBalancerSpec,
): ReturnType<HttpBalancers['apply']> {
  const [address, present] = await Promise.all([
    ensureHttpAddress(context, spec.name),
    listParts(context, spec.name),
  ])
  await ensureBackends(context, spec, present)
  const { good, refused } = await ensureCertificates(context, spec, present)
  await ensureFront(context, spec, address, good)
  await deleteParts(context, present, spec, good)
  return { name: spec.name, address, refused }
}

/** By their addresses: a balancer has one before anything else and until the end. */
function listBalancers(
  { project, calls, clients }: HttpContext,
  prefix: string,
): ReturnType<HttpBalancers['list']> {
  return calls.read('list addresses', async (options) => {
    const addresses = await clients.globalAddresses()
    const filter = `name eq "${prefix}[-a-z0-9]*-ip"`
    const [found] = await addresses.list({ project, filter }, options)
    return found.map(({ name, address }) => ({
      name: (name ?? '').replace(/-ip$/, ''),
      address: address ?? '',
    }))
  })
}
