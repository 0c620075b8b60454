// Addresses of the emulated VPC: VMs from 10.128.0.0/20, their pods from 10.4.0.0/14 (a /24 each),
// VMs' external addresses from 127.0.2.0/22, load balancers from 127.0.1.0/24 or another /24 that
// no other emulator has (loopback, so that a browser on this machine can open them).

import type { Context } from './context.ts'
import { GoogleError } from './google-error.ts'
import type { ComputeState } from './state.ts'

const VM_MAX = 1000

export interface VmAddresses {
  internalIp: string
  podRange: string
  externalIp: string
}

/** The VM's addresses, all made from one number. */
function addressesOf(host: number): VmAddresses {
  const high = host >> 8
  const low = host & 255
  return {
    internalIp: `10.128.${high}.${low}`,
    podRange: `10.${4 + high}.${low}.0/24`,
    externalIp: `127.0.${2 + high}.${low}`,
  }
}

/**
 * The next free one after the last that was given: an address is not used again at once, because
 * somebody may still be sending to the VM that had it.
 */
export function newVmAddresses(state: ComputeState): VmAddresses {
  const used = new Set(
    Object.values(state.instances).flatMap((vm) =>
      vm.networkInterfaces.map((nic) => nic.networkIP),
    ),
  )
  for (let step = 1; step <= VM_MAX; step++) {
    const host = 2 + ((state.lastHost - 2 + step + VM_MAX) % VM_MAX)
    // .0 and .255 are left out: they look like networks and broadcasts to people.
    if ((host & 255) === 0 || (host & 255) === 255) continue
    const addresses = addressesOf(host)
    if (used.has(addresses.internalIp)) continue
    state.lastHost = host
    return addresses
  }
  throw new GoogleError('quotaExceeded', `IP space of 10.128.0.0/20 is exhausted.`)
}

/** A free load balancer address of the net (`127.0.1`), or `wish` when it is free. */
export function newBalancerAddress(
  { state, balancerNet }: Pick<Context, 'state' | 'balancerNet'>,
  wish?: string,
): string {
  const used = new Set([
    ...Object.values(state.addresses).map((address) => address.address),
    ...Object.values(state.forwardingRules).map((rule) => rule.IPAddress),
  ])
  if (wish !== undefined) {
    if (!used.has(wish)) return wish
    throw new GoogleError('invalid', `Specified IP address is already in-use.: '${wish}'`)
  }
  for (let low = 1; low < 255; low++) {
    const address = `${balancerNet}.${low}`
    if (!used.has(address)) return address
  }
  throw new GoogleError('quotaExceeded', `Quota 'STATIC_ADDRESSES' exceeded.  Limit: 254.0`)
}
