// Services, slices and policies for the tests of the kernel network.

import type { PodPolicy } from '#shared/api/agent-wire.ts'
import type { Endpoint, EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Service, ServicePort, ServiceSpec } from '#shared/api/service.ts'
import type { WantedNetwork } from '#agent/network/network.ts'

let version = 0

function meta(name: string): Service['metadata'] {
  return {
    name,
    namespace: 'default',
    uid: `uid-${name}`,
    creationTimestamp: '2027-01-15T08:00:00Z',
    resourceVersion: String(++version),
  }
}

const PORT: ServicePort = { port: 80, targetPort: 8080, protocol: 'TCP' }

/** A Service with port 80 at `clusterIP`; each call makes a new version of it. */
export function aService(
  name: string,
  clusterIP: string,
  spec: Partial<ServiceSpec> = {},
  balancer: string[] = [],
): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(name),
    spec: { type: 'ClusterIP', clusterIP, ports: [PORT], ...spec },
    status: { loadBalancer: { ingress: balancer.map((ip) => ({ ip })) } },
  }
}

export type State = 'ready' | 'unready' | 'leaving'

export function anEndpoint(ip: string, nodeName: string, state: State = 'ready'): Endpoint {
  return {
    addresses: [ip],
    nodeName,
    conditions: {
      ready: state === 'ready',
      serving: state !== 'unready',
      terminating: state === 'leaving',
    },
  }
}

/** The endpoints of a Service, at port 8080. */
export function aSlice(
  service: string,
  endpoints: Endpoint[],
  ports: EndpointSlice['ports'] = [{ name: '', port: 8080, protocol: 'TCP' }],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...meta(`${service}-1`), labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints,
    ports,
  }
}

export function aPolicy(name: string, more: Partial<PodPolicy>): PodPolicy {
  return { namespace: 'default', name, pods: [], ...more }
}

/** What all nodes shall have; a VM adds its pods. */
export function wanted(
  services: Service[],
  endpointSlices: EndpointSlice[],
  networkPolicies: PodPolicy[] = [],
): Omit<WantedNetwork, 'pods'> {
  return { services, endpointSlices, networkPolicies }
}

/** A pod as far as the network looks at it. */
export function aPodOf(uid: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...meta(uid), uid },
    spec: { containers: [] },
  }
}
