// The Services of the cluster on this node: looks for those that have changed, and gives each of their
// faces its part: rules, names, health check ports, flows that lead to what is gone.

import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import { DNS_SERVICE_IP } from '#shared/api/service-addresses.ts'
import type { Service } from '#shared/api/service.ts'
import type { ClusterNames } from '../dns/cluster-names.ts'
import { serviceOf } from '../service-ports.ts'
import type { HealthCheck, HealthCheckPorts } from './health-check-ports.ts'
import type { RulesetWriter } from './ruleset-writer.ts'
import { externalTargets, hasClusterIp, routingOf, serviceFragment } from './service-rules.ts'
import type { ServiceNode } from './service-rules.ts'
import { endpointAddresses, forgetStaleFlows, forgetUnanswered } from './stale-flows.ts'
import type { UdpTarget } from './stale-flows.ts'

export interface ServiceTableOptions {
  node: ServiceNode
  api: { ip: string; port: number } | undefined
  writer: RulesetWriter
  names: ClusterNames
  health: HealthCheckPorts
}

interface Known {
  /** Versions of the Service and its slices: unchanged means nothing to do. */
  version: string
  udp: UdpTarget[]
  /** Addresses of the endpoints of its TCP ports. */
  tcp: string[]
  check: HealthCheck | undefined
}

export class ServiceTable {
  readonly #options: ServiceTableOptions
  readonly #known = new Map<string, Known>()

  constructor(options: ServiceTableOptions) {
    this.#options = options
  }

  /**
   * Exactly these Services. What the kernel must hear is left with the writer; the answer is to be
   * called when it has heard it.
   */
  set(services: readonly Service[], slices: readonly EndpointSlice[]): () => Promise<void> {
    const { names, writer, health } = this.#options
    const slicesOf = Map.groupBy(this.#withApi(services, slices), serviceOf)
    const present = new Set<string>()
    const flows: [UdpTarget[], UdpTarget[]][] = []
    const gone: string[] = []
    for (const service of services) {
      const id = `${service.metadata.namespace}/${service.metadata.name}`
      present.add(id)
      const own = slicesOf.get(id) ?? []
      const version = [service, ...own].map(versionOf).join(' ')
      const before = this.#known.get(id)
      if (before?.version === version) continue
      const after = this.#change(id, service, own, version)
      flows.push([before?.udp ?? [], after.udp])
      gone.push(...(before?.tcp ?? []).filter((endpoint) => !after.tcp.includes(endpoint)))
    }
    for (const [id, { udp, tcp }] of this.#known) {
      if (present.has(id)) continue
      const [namespace = '', name = ''] = id.split('/')
      this.#known.delete(id)
      names.delete(namespace, name)
      writer.set(`service/${id}`, undefined)
      flows.push([udp, []])
      gone.push(...tcp)
    }
    return async () => {
      health.apply([...this.#known.values()].flatMap(({ check }) => (check ? [check] : [])))
      for (const [before, after] of flows) await forgetStaleFlows(before, after)
      await forgetUnanswered(gone)
    }
  }

  #change(id: string, service: Service, slices: readonly EndpointSlice[], version: string): Known {
    const { node, names, writer } = this.#options
    names.set(service, slices)
    // The cluster's DNS is on this node: packets to it are not translated.
    const isDns = service.spec.clusterIP === DNS_SERVICE_IP
    writer.set(`service/${id}`, isDns ? undefined : serviceFragment(service, slices, node))
    const known = {
      version,
      udp: isDns ? [] : udpTargets(service, slices, node),
      tcp: isDns ? [] : tcpEndpoints(service, slices, node),
      check: checkOf(service, slices, node),
    }
    this.#known.set(id, known)
    return known
  }

  /** The API has no pods behind it: its Service leads to where the agent itself reaches it. */
  #withApi(
    services: readonly Service[],
    slices: readonly EndpointSlice[],
  ): readonly EndpointSlice[] {
    const { api } = this.#options
    const service = services.find(
      ({ metadata }) => metadata.namespace === 'default' && metadata.name === 'kubernetes',
    )
    if (!api || !service) return slices
    const slice: EndpointSlice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        ...service.metadata,
        labels: { 'kubernetes.io/service-name': 'kubernetes' },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: [api.ip], conditions: { ready: true } }],
      ports: [{ name: 'https', port: api.port, protocol: 'TCP' }],
    }
    return [...slices.filter((each) => serviceOf(each) !== 'default/kubernetes'), slice]
  }
}

function tcpEndpoints(
  service: Service,
  slices: readonly EndpointSlice[],
  node: ServiceNode,
): string[] {
  const ports = (service.spec.ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
  const addresses = ports.flatMap((port) => endpointAddresses(routingOf(port, slices, node)))
  return [...new Set(addresses)]
}

function udpTargets(
  service: Service,
  slices: readonly EndpointSlice[],
  node: ServiceNode,
): UdpTarget[] {
  const { clusterIP = '', ports = [] } = service.spec
  if (!hasClusterIp(service)) return []
  return ports
    .filter(({ protocol }) => protocol === 'UDP')
    .flatMap((port) => {
      const endpoints = endpointAddresses(routingOf(port, slices, node))
      const targets = [
        { ip: clusterIP, port: port.port },
        ...externalTargets(service, port, node.ip),
      ]
      return targets.map((target) => ({ ip: target.ip, port: target.port, endpoints }))
    })
}

function checkOf(
  service: Service,
  slices: readonly EndpointSlice[],
  node: ServiceNode,
): HealthCheck | undefined {
  const { healthCheckNodePort: port, externalTrafficPolicy, ports = [] } = service.spec
  if (!port || externalTrafficPolicy !== 'Local') return undefined
  const local = ports.flatMap((each) => routingOf(each, slices, node).local)
  const { namespace = '', name } = service.metadata
  return { port, namespace, name, localEndpoints: new Set(local.map(({ ip }) => ip)).size }
}

function versionOf({ metadata }: Service | EndpointSlice): string {
  return `${metadata.uid}@${metadata.resourceVersion ?? ''}`
}
