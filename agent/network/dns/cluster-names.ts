// The names of a cluster, after the Kubernetes DNS specification 1.1.0
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md) and, where it is silent, as
// CoreDNS answers. Kept by Service, so that a change costs what has changed. Pure.

import { isIpv4 } from '#shared/api/name-rules.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service } from '#shared/api/service.ts'

/** What a name has; `forward`: the rest is somebody else's business. */
export interface NameRecords {
  /** IPv4 addresses. */
  a: string[]
  srv: { name: string; port: number; target: string }[]
  /** What else to ask for. */
  cname?: string
  txt?: string
}

interface NamedEndpoint {
  hostname: string
  ip: string
  /** Ports by name and protocol. */
  ports: { name: string; protocol: string; port: number }[]
}

interface ServiceNames {
  clusterIp: string | undefined
  externalName: string | undefined
  ports: { name: string; protocol: string; port: number }[]
  endpoints: NamedEndpoint[]
}

/** The version of the specification. */
const SCHEMA_VERSION = '1.1.0'

export class ClusterNames {
  readonly domain: string
  readonly #dnsIp: string
  /** `web.default` → its names. */
  readonly #services = new Map<string, ServiceNames>()
  /** Namespaces with Services, and how many. */
  readonly #namespaces = new Map<string, number>()
  /** Address → names, by the Service that gives it. */
  readonly #reverse = new Map<string, Map<string, string>>()

  /** `domain`: `cluster.local`. */
  constructor(domain: string, dnsIp: string) {
    this.domain = domain
    this.#dnsIp = dnsIp
  }

  /** Takes over a Service with all of its slices. */
  set(service: Service, slices: readonly EndpointSlice[]): void {
    const { name, namespace = '' } = service.metadata
    this.delete(namespace, name)
    const id = `${name}.${namespace}`
    const names = namesOf(service, slices)
    this.#services.set(id, names)
    this.#namespaces.set(namespace, (this.#namespaces.get(namespace) ?? 0) + 1)
    for (const [ip, text] of this.#reverseNames(id, names)) {
      const owners = this.#reverse.get(ip) ?? new Map<string, string>()
      this.#reverse.set(ip, owners.set(id, text))
    }
  }

  /** Forgets all of them. */
  clear(): void {
    for (const names of [this.#services, this.#namespaces, this.#reverse]) names.clear()
  }

  delete(namespace: string, name: string): void {
    const id = `${name}.${namespace}`
    const names = this.#services.get(id)
    if (!names) return
    this.#services.delete(id)
    const left = (this.#namespaces.get(namespace) ?? 1) - 1
    if (left > 0) this.#namespaces.set(namespace, left)
    else this.#namespaces.delete(namespace)
    for (const [ip] of this.#reverseNames(id, names)) {
      const owners = this.#reverse.get(ip)
      owners?.delete(id)
      if (owners?.size === 0) this.#reverse.delete(ip)
    }
  }

  /** True when the name (lower case, without the last dot) is the cluster's. */
  isOurs(name: string): boolean {
    return name === this.domain || name.endsWith(`.${this.domain}`)
  }

  /** What a name of ours has; undefined: there is no such name. */
  find(name: string): NameRecords | undefined {
    if (name === this.domain) return NOTHING
    const labels = name.slice(0, -this.domain.length - 1).split('.')
    const kind = labels.pop()
    if (kind === 'svc') return this.#findService(labels)
    if (kind === 'pod') return findPod(labels)
    if (kind === 'dns-version' && labels.length === 0) return { ...NOTHING, txt: SCHEMA_VERSION }
    if (kind === 'dns' && labels.length <= 1) {
      if (labels.length === 0) return NOTHING
      return labels[0] === 'ns' ? { ...NOTHING, a: [this.#dnsIp] } : undefined
    }
    return undefined
  }

  /** The names of an address. */
  findAddress(ip: string): string[] {
    return [...new Set(this.#reverse.get(ip)?.values())].sort()
  }

  #findService(labels: string[]): NameRecords | undefined {
    const namespace = labels.pop()
    if (namespace === undefined) return NOTHING
    const name = labels.pop()
    if (name === undefined) return this.#namespaces.has(namespace) ? NOTHING : undefined
    const service = this.#services.get(`${name}.${namespace}`)
    if (!service) return undefined
    const full = `${name}.${namespace}.svc.${this.domain}`
    if (service.externalName !== undefined) {
      return labels.length === 0 ? { ...NOTHING, cname: service.externalName } : undefined
    }
    const [first = '', second] = labels
    if (labels.length === 0) return recordsOf(service, full, undefined)
    if (labels.length === 2 && first.startsWith('_') && second?.startsWith('_')) {
      const port = { name: first.slice(1), protocol: second.slice(1) }
      const { srv } = recordsOf(service, full, port) ?? NOTHING
      return srv.length > 0 ? { ...NOTHING, srv } : undefined
    }
    // `_tcp.web.default.svc`: nothing of its own, names below it.
    if (labels.length === 1 && /^_(tcp|udp|sctp)$/.test(first)) return NOTHING
    if (labels.length > 1) return undefined
    const found = service.endpoints.filter(({ hostname }) => hostname === first)
    if (found.length === 0) return undefined
    return {
      a: found.map(({ ip }) => ip),
      srv: found.flatMap(({ ports }) =>
        ports.map(({ port, name: portName }) => ({
          name: portName,
          port,
          target: `${first}.${full}`,
        })),
      ),
    }
  }

  #reverseNames(id: string, { clusterIp, endpoints }: ServiceNames): [string, string][] {
    const full = `${id}.svc.${this.domain}`
    return [
      ...(clusterIp ? [[clusterIp, full] as [string, string]] : []),
      ...endpoints.map(({ ip, hostname }): [string, string] => [ip, `${hostname}.${full}`]),
    ]
  }
}

const NOTHING: NameRecords = { a: [], srv: [] }

function namesOf({ spec }: Service, slices: readonly EndpointSlice[]): ServiceNames {
  const isExternal = spec.type === 'ExternalName'
  return {
    clusterIp: isIpv4(spec.clusterIP ?? '') ? spec.clusterIP : undefined,
    externalName: isExternal
      ? (spec.externalName ?? '').toLowerCase().replace(/\.$/, '')
      : undefined,
    ports: (spec.ports ?? []).map(({ name = '', protocol = 'TCP', port }) => ({
      name: name.toLowerCase(),
      protocol: protocol.toLowerCase(),
      port,
    })),
    endpoints: isExternal ? [] : slices.flatMap(endpointsOf),
  }
}

/** Those that are ready; all of them when the Service publishes unready ones (they are marked so). */
function endpointsOf({ addressType, endpoints, ports }: EndpointSlice): NamedEndpoint[] {
  if (addressType !== 'IPv4') return []
  const named = (ports ?? []).flatMap(({ name, protocol, port }) =>
    port === undefined
      ? []
      : [{ name: name ?? '', protocol: (protocol ?? 'TCP').toLowerCase(), port }],
  )
  return endpoints
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses, hostname }) =>
      addresses.filter(isIpv4).map((ip) => ({
        hostname: hostname?.toLowerCase() || ip.replaceAll('.', '-'),
        ip,
        ports: named,
      })),
    )
}

/** A Service's own records: of one port, or of all. Headless without endpoints: there is no such name. */
function recordsOf(
  { clusterIp, ports, endpoints }: ServiceNames,
  full: string,
  only: { name: string; protocol: string } | undefined,
): NameRecords | undefined {
  const isMeant = ({ name, protocol }: { name: string; protocol: string }): boolean =>
    name !== '' && (!only || (only.name === name && only.protocol === protocol))
  if (clusterIp) {
    const srv = ports.filter(isMeant).map(({ name, port }) => ({ name, port, target: full }))
    return { a: [clusterIp], srv }
  }
  if (endpoints.length === 0) return undefined
  return {
    a: [...new Set(endpoints.map(({ ip }) => ip))],
    srv: endpoints.flatMap(({ hostname, ports: own }) =>
      own.filter(isMeant).map(({ name, port }) => ({ name, port, target: `${hostname}.${full}` })),
    ),
  }
}

/** `10-4-1-2.default.pod`: the address is in the name. */
function findPod(labels: string[]): NameRecords | undefined {
  if (labels.length < 2) return NOTHING
  const [dashed = ''] = labels
  const ip = dashed.replaceAll('-', '.')
  return labels.length === 2 && isIpv4(ip) ? { ...NOTHING, a: [ip] } : undefined
}
