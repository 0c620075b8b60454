// EndpointSlice: where a Service's traffic may go, with each address's readiness.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/

import type { KubeObject } from './meta.ts'

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
