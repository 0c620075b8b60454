// Cluster addresses and node ports, given out of what the cluster's services leave free. The choice
// depends only on the service and the state, so that two runs of the same step ask for the same.

import { fnv32 } from '../hash.ts'
import type { Reader } from '../view/reader.ts'
import type { KubeObject } from './meta.ts'
import type { Service } from './service.ts'

/** GKE's default range for services. */
export const SERVICE_RANGE = '34.118.224.0/20'
const RANGE_START = toNumber('34.118.224.0')
const RANGE_SIZE = 2 ** 12

/** The address of the API itself (service `kubernetes` in `default`): the first of the range. */
export const API_SERVICE_IP = toAddress(RANGE_START + 1)

/** The cluster's DNS (service `kube-dns` in `kube-system`): the tenth, as on GKE. */
export const DNS_SERVICE_IP = toAddress(RANGE_START + 10)

/** The domain of the cluster's names. */
export const CLUSTER_DOMAIN = 'cluster.local'

/** Addresses that are never given to a service which asks for none. */
const KEPT = 16

/** Ports that a service may have on every node: kube-apiserver's default range. */
export const NODE_PORTS = { first: 30_000, last: 32_767 } as const

/** True when the address is one that a service of this cluster may have. */
export function isInServiceRange(address: string): boolean {
  const offset = toNumber(address) - RANGE_START
  return offset > 0 && offset < RANGE_SIZE - 1
}

/** All addresses in use by services other than `except` (namespace/name). */
export function usedAddresses(reader: Reader, except: string): Set<string> {
  const used = new Set<string>()
  for (const service of otherServices(reader, except)) {
    for (const address of service.spec.clusterIPs ?? []) used.add(address)
    if (service.spec.clusterIP) used.add(service.spec.clusterIP)
  }
  return used
}

/** All node ports in use by services other than `except`, as `port/protocol`. */
export function usedNodePorts(reader: Reader, except: string): Set<string> {
  const used = new Set<string>()
  for (const { spec } of otherServices(reader, except)) {
    for (const { nodePort, protocol } of spec.ports ?? []) {
      if (nodePort) used.add(`${nodePort}/${protocol ?? 'TCP'}`)
    }
    if (spec.healthCheckNodePort) used.add(`${spec.healthCheckNodePort}/TCP`)
  }
  return used
}

/** How services are told apart here. */
export function serviceIdentity(service: KubeObject): string {
  return `${service.metadata?.namespace ?? ''}/${service.metadata?.name ?? ''}`
}

/** A free cluster address, looked for from a place that `seed` says; undefined when all are taken. */
export function freeAddress(used: ReadonlySet<string>, seed: string): string | undefined {
  const span = RANGE_SIZE - KEPT - 1
  const start = fnv32(seed) % span
  for (let step = 0; step < span; step++) {
    const address = toAddress(RANGE_START + KEPT + ((start + step) % span))
    if (!used.has(address)) return address
  }
  return undefined
}

/** A node port that is free for each of the protocols; undefined when all are taken. */
export function freeNodePort(used: ReadonlySet<string>, seed: string): number | undefined {
  const span = NODE_PORTS.last - NODE_PORTS.first + 1
  const start = fnv32(seed) % span
  for (let step = 0; step < span; step++) {
    const port = NODE_PORTS.first + ((start + step) % span)
    const isTaken = ['TCP', 'UDP', 'SCTP'].some((protocol) => used.has(`${port}/${protocol}`))
    if (!isTaken) return port
  }
  return undefined
}

function otherServices(reader: Reader, except: string): Service[] {
  return reader
    .list('services')
    .filter(isService)
    .filter((each) => serviceIdentity(each) !== except)
}

function isService(object: KubeObject): object is Service {
  return object.kind === 'Service' && 'spec' in object
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
