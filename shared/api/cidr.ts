// Ranges of addresses as text, `10.0.0.0/8` or `2001:db8::/64`.

import { isIp, isIpv4 } from './name-rules.ts'

/** What Kubernetes says of anything else. */
export const NOT_A_CIDR = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'

/** True for a range of IPv4 or (by its shape) of IPv6. */
export function isCidr(text: string): boolean {
  const { address, bits, isWhole } = split(text)
  return isWhole && isIp(address) && bits <= (isIpv4(address) ? 32 : 128)
}

/** True for a range of IPv4. */
export function isIpv4Cidr(text: string): boolean {
  return isCidr(text) && isIpv4(split(text).address)
}

/** True when all of `inner` is in `outer`, and not all of `outer` in `inner`. */
export function isStrictSubset(inner: string, outer: string): boolean {
  const [small, large] = [split(inner), split(outer)]
  if (isIpv4(small.address) !== isIpv4(large.address) || small.bits <= large.bits) return false
  const width = isIpv4(small.address) ? 32n : 128n
  const rest = width - BigInt(large.bits)
  return numberOf(small.address) >> rest === numberOf(large.address) >> rest
}

function split(text: string): { address: string; bits: number; isWhole: boolean } {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text)
  return { address: match?.[1] ?? '', bits: Number(match?.[2] ?? 0), isWhole: match !== null }
}

function numberOf(address: string): bigint {
  if (isIpv4(address)) {
    return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)
  }
  const [head = '', tail] = address.split('::')
  const groups = (part: string): string[] => (part ? part.split(':') : [])
  const [before, after] = [groups(head), groups(tail ?? '')]
  const gap = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  return [...before, ...Array.from({ length: gap }, () => '0'), ...after].reduce(
    (sum, group) => sum * 65_536n + BigInt(`0x${group}`),
    0n,
  )
}
