// Endpoints: the older form of EndpointSlice, still read by many tools.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column } from './columns.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import { at, child, invalidValue, notSupported, required } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { NOT_AN_IP, dnsLabelProblems, isIp, portProblems } from './name-rules.ts'

export interface EndpointAddress {
  ip: string
  hostname?: string
  nodeName?: string
  targetRef?: ObjectReference
}

export interface EndpointPort {
  name?: string
  port: number
  protocol?: string
  appProtocol?: string
}

export interface EndpointSubset {
  addresses?: EndpointAddress[]
  notReadyAddresses?: EndpointAddress[]
  ports?: EndpointPort[]
}

export interface Endpoints extends KubeObject {
  subsets?: EndpointSubset[]
}

/** How many addresses a table cell shows. */
const SHOWN = 3

export const endpointsKind: KindDefinition<Endpoints> = {
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Endpoints', 'Where traffic goes: address and port of each ready pod.'),
    AGE_COLUMN,
  ],
  cells: (endpoints, context) => [
    endpoints.metadata.name,
    formatEndpoints(endpoints),
    ageOf(endpoints, context),
  ],
  applyDefaults(draft) {
    for (const subset of draft.subsets ?? []) {
      for (const port of subset.ports ?? []) port.protocol ||= 'TCP'
    }
  },
  validate: (endpoints, context) => [
    ...validateMeta(endpoints, { isNamespaced: true }, context),
    ...(endpoints.subsets ?? []).flatMap((subset, index) =>
      validateSubset(at('subsets', index), subset),
    ),
  ],
  hasStatus: false,
  hasGeneration: false,
}

function formatEndpoints({ subsets }: Endpoints): string {
  if (!subsets || subsets.length === 0) return NONE
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) => addresses.map(({ ip }) => hostPort(ip, port))),
  )
  const shown = all.slice(0, SHOWN).join(',')
  return all.length > SHOWN ? `${shown} + ${all.length - SHOWN} more...` : shown
}

function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}

function validateSubset(path: string, subset: EndpointSubset): Cause[] {
  const addresses = subset.addresses ?? []
  const notReady = subset.notReadyAddresses ?? []
  const causes: Cause[] = []
  if (addresses.length === 0 && notReady.length === 0) {
    causes.push(required(path, 'must specify `addresses` or `notReadyAddresses`'))
  }
  for (const [name, list] of Object.entries({ addresses, notReadyAddresses: notReady })) {
    for (const [index, address] of list.entries()) {
      const field = at(child(path, name), index)
      if (!isIp(address.ip ?? '')) {
        causes.push(invalidValue(child(field, 'ip'), address.ip, NOT_AN_IP))
      }
      if (address.hostname) {
        for (const problem of dnsLabelProblems(address.hostname)) {
          causes.push(invalidValue(child(field, 'hostname'), address.hostname, problem))
        }
      }
    }
  }
  const ports = subset.ports ?? []
  for (const [index, port] of ports.entries()) {
    const field = at(child(path, 'ports'), index)
    if (ports.length > 1 && !port.name) causes.push(required(child(field, 'name')))
    for (const problem of port.name ? dnsLabelProblems(port.name) : []) {
      causes.push(invalidValue(child(field, 'name'), port.name, problem))
    }
    for (const problem of portProblems(port.port)) {
      causes.push(invalidValue(child(field, 'port'), port.port, problem))
    }
    if (!['SCTP', 'TCP', 'UDP'].includes(port.protocol ?? '')) {
      causes.push(
        notSupported(child(field, 'protocol'), port.protocol ?? '', ['SCTP', 'TCP', 'UDP']),
      )
    }
  }
  return causes
}
