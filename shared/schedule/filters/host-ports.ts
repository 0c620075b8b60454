// Two pods of a node cannot have the same port of the host.

import { notNow } from '../rule.ts'
import type { Filter } from '../rule.ts'

const REFUSAL = notNow("node(s) didn't have free ports for the requested pod ports")

export const hostPorts: Filter = ({ demand }) => {
  if (demand.hostPorts.length === 0) return undefined
  return (slot) => {
    if (slot.hostPorts.size === 0) return undefined
    const taken = [...slot.hostPorts]
    const isTaken = demand.hostPorts.some((port) => taken.some((other) => clash(port, other)))
    return isTaken ? REFUSAL : undefined
  }
}

/** Same protocol and port, and the same address or one of them on all addresses. */
function clash(a: string, b: string): boolean {
  const [protocolA, portA, addressA] = a.split('/')
  const [protocolB, portB, addressB] = b.split('/')
  if (protocolA !== protocolB || portA !== portB) return false
  return addressA === addressB || addressA === '0.0.0.0' || addressB === '0.0.0.0'
}
