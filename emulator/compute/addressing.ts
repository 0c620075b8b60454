// Which addresses new VMs and load balancers get, out of the VPC's plan (address-plan.ts).

import { addressAt, rangeOf } from './address-plan.ts'
import type { Context } from './context.ts'
import { GoogleError } from './google-error.ts'

const VM_MAX = 1000

export interface VmAddresses {
  internalIp: string
  podRange: string
  externalIp: string
}

/** The VM's addresses, all made from one number. */
function addressesOf({ vms, pods, external }: Context['plan'], host: number): VmAddresses {
  return {
    internalIp: addressAt(vms, host),
    podRange: `${addressAt(pods, host * 256)}/24`,
    externalIp: addressAt(external, host),
  }
}

/**
 * The next free one after the last that was given: an address is not used again at once, because
 * somebody may still be sending to the VM that had it.
 */
export function newVmAddresses({ state, plan }: Pick<Context, 'state' | 'plan'>): VmAddresses {
  const used = new Set(
    Object.values(state.instances).flatMap((vm) =>
      vm.networkInterfaces.map((nic) => nic.networkIP),
    ),
  )
  for (let step = 1; step <= VM_MAX; step++) {
    const host = 2 + ((state.lastHost - 2 + step + VM_MAX) % VM_MAX)
    // .0 and .255 are left out: they look like networks and broadcasts to people.
    if ((host & 255) === 0 || (host & 255) === 255) continue
    const addresses = addressesOf(plan, host)
    if (used.has(addresses.internalIp)) continue
    state.lastHost = host
    return addresses
  }
  throw new GoogleError('quotaExceeded', `IP space of ${rangeOf(plan, 'vms')} is exhausted.`)
}

/** A free load balancer address, or `wish` when it is free. */
export function newBalancerAddress(
  { state, plan }: Pick<Context, 'state' | 'plan'>,
  wish?: string,
): string {
  const used = new Set([
    ...Object.values(state.addresses).map((address) => address.address),
    ...Object.values(state.forwardingRules).map((rule) => rule.IPAddress),
    ...Object.values(state.globalForwardingRules).map((rule) => rule.IPAddress),
  ])
  if (wish !== undefined) {
    if (!used.has(wish)) return wish
    throw new GoogleError('invalid', `Specified IP address is already in-use.: '${wish}'`)
  }
  for (let low = 1; low < 255; low++) {
    const address = addressAt(plan.balancers, low)
    if (!used.has(address)) return address
  }
  throw new GoogleError('quotaExceeded', `Quota 'STATIC_ADDRESSES' exceeded.  Limit: 254.0`)
}
