// Which addresses an emulated VPC uses. VMs without a network of their own share one plan (their
// addresses are names only); VMs with one get the plan of their slot (netns/slots.ts), so that several
// emulators on one machine do not meet.

/** IPv4 ranges, each by its first address. */
export interface AddressPlan {
  /** A /20: VMs. */
  vms: string
  /** A /14: their pods, a /24 for each VM. */
  pods: string
  /** A /22: VMs' external addresses. */
  external: string
  /** A /24: load balancers. */
  balancers: string
  /** This machine, seen from a VM. */
  host: string
}

const BITS = { vms: 20, pods: 14, external: 22, balancers: 24, host: 32 } as const
const KINDS = ['host', 'vms', 'pods', 'external', 'balancers'] as const

/** Of VMs on loopback; `balancerNet` is `127.0.1`. */
export function loopbackPlan(balancerNet: string): AddressPlan {
  return {
    vms: '10.128.0.0',
    pods: '10.4.0.0',
    external: '127.0.2.0',
    balancers: `${balancerNet}.0`,
    host: '127.0.0.1',
  }
}

/** `10.128.0.0/20`. */
export function rangeOf(plan: AddressPlan, kind: keyof AddressPlan): string {
  return `${plan[kind]}/${BITS[kind]}`
}

/** The address that is so many after the first of a range. */
export function addressAt(first: string, offset: number): string {
  const sum = toNumber(first) + offset
  return [24, 16, 8, 0].map((shift) => Math.floor(sum / 2 ** shift) % 256).join('.')
}

/** How far `address` is from the first of the range; undefined when it is outside. */
export function offsetIn(
  plan: AddressPlan,
  kind: keyof AddressPlan,
  address: string,
): number | undefined {
  const offset = toNumber(address) - toNumber(plan[kind])
  return offset >= 0 && offset < 2 ** (32 - BITS[kind]) ? offset : undefined
}

/**
 * What was saved under one plan, in the addresses of another: every address of the old ranges becomes
 * the one at the same place of the new.
 */
export function readdress<T>(saved: T, from: AddressPlan, to: AddressPlan): T {
  const text = JSON.stringify(saved).replaceAll(/\b\d+\.\d+\.\d+\.\d+\b/g, (address) => {
    for (const kind of KINDS) {
      const offset = offsetIn(from, kind, address)
      if (offset !== undefined) return addressAt(to[kind], offset)
    }
    return address
  })
  return JSON.parse(text)
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}
