// EndpointSlice: where a Service's traffic may go, with each address's readiness.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import {
  IMMUTABLE,
  at,
  child,
  duplicate,
  invalidValue,
  notSupported,
  required,
  tooMany,
} from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { NOT_AN_IP, isIp } from './name-rules.ts'

export interface ObjectReference {
  kind?: string
  namespace?: string
  name?: string
  uid?: string
  apiVersion?: string
  resourceVersion?: string
  fieldPath?: string
}

export interface Endpoint {
  addresses: string[]
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean }
  hostname?: string
  nodeName?: string
  zone?: string
  targetRef?: ObjectReference
}

export interface EndpointSlice extends KubeObject {
  addressType: 'IPv4' | 'IPv6' | 'FQDN'
  endpoints: Endpoint[]
  ports?: { name?: string; port?: number; protocol?: string; appProtocol?: string }[]
}

/** How many ports or addresses a table cell shows. */
const SHOWN = 3
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']

export const endpointSliceKind: KindDefinition<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  shortNames: [],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('AddressType', 'What its addresses are: IPv4, IPv6 or FQDN.'),
    column('Ports', 'The ports of each address.'),
    column('Endpoints', 'The addresses.'),
    AGE_COLUMN,
  ],
  cells: (slice, context) => [
    slice.metadata.name,
    slice.addressType,
    someOf((slice.ports ?? []).map((port) => String(port.port ?? port.name ?? '*'))),
    someOf(slice.endpoints.flatMap((endpoint) => endpoint.addresses)),
    ageOf(slice, context),
  ],
  applyDefaults(draft) {
    draft.endpoints ??= []
    for (const port of draft.ports ?? []) {
      port.name ??= ''
      port.protocol ||= 'TCP'
    }
  },
  validate: validateEndpointSlice,
  hasStatus: false,
  hasGeneration: true,
}

function someOf(texts: readonly string[]): string {
  if (texts.length === 0) return '<unset>'
  const shown = texts.slice(0, SHOWN).join(',')
  return texts.length > SHOWN ? `${shown} + ${texts.length - SHOWN} more...` : shown
}

function validateEndpointSlice(slice: EndpointSlice, context: AdmissionContext): Cause[] {
  const causes = validateMeta(slice, { isNamespaced: true }, context)
  if (!slice.addressType) {
    causes.push(required('addressType'))
  } else if (!ADDRESS_TYPES.includes(slice.addressType)) {
    causes.push(notSupported('addressType', slice.addressType, ADDRESS_TYPES))
  }
  const old = oldOf(slice, context)
  if (old && old.addressType !== slice.addressType) {
    causes.push(invalidValue('addressType', slice.addressType, IMMUTABLE))
  }
  if (slice.endpoints.length > 1000) {
    causes.push(tooMany('endpoints', slice.endpoints.length, 1000))
  }
  for (const [index, endpoint] of slice.endpoints.entries()) {
    const field = child(at('endpoints', index), 'addresses')
    const addresses = endpoint.addresses ?? []
    if (addresses.length === 0) {
      causes.push(required(field, 'must contain at least 1 address'))
    }
    if (slice.addressType === 'FQDN') continue
    for (const [position, address] of addresses.entries()) {
      if (!isIp(address)) causes.push(invalidValue(at(field, position), address, NOT_AN_IP))
    }
  }
  const names = new Set<string>()
  for (const [index, port] of (slice.ports ?? []).entries()) {
    const field = at('ports', index)
    const name = port.name ?? ''
    if (names.has(name)) causes.push(duplicate(child(field, 'name'), name))
    names.add(name)
    if (!['SCTP', 'TCP', 'UDP'].includes(port.protocol ?? '')) {
      causes.push(
        notSupported(child(field, 'protocol'), port.protocol ?? '', ['SCTP', 'TCP', 'UDP']),
      )
    }
  }
  return causes
}
