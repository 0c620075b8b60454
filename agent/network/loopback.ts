// The network of a VM that shares its machine's loopback: pods have addresses by name only, each of
// their ports stands for a port of 127.0.0.1 (a registry outside tells the other VMs which), and Services
// go through a small proxy in this process. Limits, said plainly: no pod has an interface, so source
// addresses are always 127.0.0.1 (ClientIP affinity sees one client), and only TCP is forwarded.

import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'
import type { AddressPool } from './address-pool.ts'
import { freePort, isFree } from './free-port.ts'
import { dnsOf, hostDns } from './resolv-conf.ts'
import type { Address, DnsSettings, Network, SandboxNetwork, WantedNetwork } from './network.ts'
import { openPortProxy } from './port-proxy.ts'
import type { PortProxy } from './port-proxy.ts'
import { internalKey, planService, serviceOf } from './service-ports.ts'
import type { Backend, ServicePortPlan } from './service-ports.ts'
import type { VpcRoutes } from './vpc-routes.ts'

export interface LoopbackOptions {
  node: { name: string; ip: string }
  pool: AddressPool
  routes: VpcRoutes
}

/** How long a resolved address of another node's pod is believed without asking again. */
const BELIEVE_MS = 10_000

export function createLoopback(options: LoopbackOptions): Network {
  return new Loopback(options)
}

interface OpenService {
  /** Versions of the Service and its slices: unchanged means nothing to do. */
  version: string
  plans: ServicePortPlan[]
}

class Loopback implements Network {
  readonly hasPodAddresses = false
  readonly #node: LoopbackOptions['node']
  readonly #pool: AddressPool
  readonly #routes: VpcRoutes
  readonly #pods = new Map<string, { ip: string; ports: Map<number, number> }>()
  /** `10.4.1.3:8080` of this node's pods → its port of 127.0.0.1. */
  readonly #local = new Map<string, number>()
  readonly #services = new Map<string, OpenService>()
  readonly #proxies = new Map<string, PortProxy>()
  /** Address → key of the listener that it leads to. */
  readonly #routeOwners = new Map<string, string>()
  readonly #believed = new Map<string, { at: number; address: Address }>()

  constructor({ node, pool, routes }: LoopbackOptions) {
    this.#node = node
    this.#pool = pool
    this.#routes = routes
  }

  async addPod(uid: string, { hostNetwork }: SandboxNetwork): Promise<string> {
    const ip = hostNetwork ? this.#node.ip : this.#pool.take(uid)
    if (!this.#pods.has(uid)) this.#pods.set(uid, { ip, ports: new Map() })
    return ip
  }

  async removePod(uid: string): Promise<void> {
    const pod = this.#pods.get(uid)
    for (const port of pod?.ports.keys() ?? []) {
      this.#local.delete(`${pod?.ip}:${port}`)
      this.#routes.want(`${pod?.ip}:${port}/tcp`, undefined)
    }
    this.#pods.delete(uid)
    this.#pool.free(uid)
  }

  async openPort(uid: string, containerPort: number): Promise<Address> {
    const pod = this.#pods.get(uid)
    if (!pod) throw new Error(`pod ${uid} has no network`)
    const taken = new Set(this.#local.values())
    if (containerPort === 0) return { host: '127.0.0.1', port: await freePort(taken) }
    const old = pod.ports.get(containerPort)
    const port = old !== undefined && (await isFree(old)) ? old : await freePort(taken)
    const to = { host: '127.0.0.1', port }
    if (port !== old) {
      await this.#routes.set(`${pod.ip}:${containerPort}/tcp`, to)
      pod.ports.set(containerPort, port)
      this.#local.set(`${pod.ip}:${containerPort}`, port)
    }
    return to
  }

  locate(podIP: string, containerPort: number): Address | undefined {
    const port = this.#local.get(`${podIP}:${containerPort}`)
    return port === undefined ? undefined : { host: '127.0.0.1', port }
  }

  /** No packet passes a kernel's rules here: policies are not enforced. */
  async apply({ services, endpointSlices }: WantedNetwork): Promise<void> {
    const slicesOf = Map.groupBy(endpointSlices, serviceOf)
    const names = new Set<string>()
    for (const service of services) {
      const name = `${service.metadata.namespace}/${service.metadata.name}`
      names.add(name)
      const own = slicesOf.get(name) ?? []
      const version = [service, ...own].map(versionOf).join(' ')
      if (this.#services.get(name)?.version === version) continue
      await this.#apply(name, version, planService(service, own, this.#node))
    }
    for (const name of this.#services.keys()) {
      if (names.has(name)) continue
      await this.#apply(name, '', [])
      this.#services.delete(name)
    }
  }

  serviceAddress(service: Service, port: ServicePort): Address | undefined {
    return this.#proxies.get(internalKey(service, port))?.address
  }

  /** There is no cluster DNS here: names are the machine's. */
  dnsFor(pod: Pod): DnsSettings {
    return dnsOf(pod, { cluster: undefined, host: hostDns() })
  }

  async openNodePort(port: number, to: Address): Promise<void> {
    this.#routes.want(`${this.#node.ip}:${port}/tcp`, to)
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies.values()) proxy.close()
    this.#routes.close()
  }

  /** Opens, changes and closes the listeners of one Service. */
  async #apply(name: string, version: string, plans: ServicePortPlan[]): Promise<void> {
    const before = this.#services.get(name)?.plans ?? []
    for (const plan of plans) {
      const proxy = this.#proxies.get(plan.key) ?? (await this.#open(plan.key))
      proxy.setBackends(plan.backends, plan.affinitySeconds)
      for (const route of plan.routes) {
        if (this.#routeOwners.get(route) === plan.key) continue
        this.#routeOwners.set(route, plan.key)
        this.#routes.want(route, proxy.address)
      }
    }
    for (const { key, routes } of before) {
      const after = plans.find((plan) => plan.key === key)
      for (const route of routes) {
        // Another listener may have taken the address over meanwhile.
        if (after?.routes.includes(route) || this.#routeOwners.get(route) !== key) continue
        this.#routeOwners.delete(route)
        this.#routes.want(route, undefined)
      }
      if (after) continue
      this.#proxies.get(key)?.close()
      this.#proxies.delete(key)
    }
    this.#services.set(name, { version, plans })
  }

  async #open(key: string): Promise<PortProxy> {
    const proxy = await openPortProxy({
      resolve: (backend) => this.#resolve(backend),
      onFailure: ({ ip, port }) => void this.#believed.delete(`${ip}:${port}`),
    })
    this.#proxies.set(key, proxy)
    return proxy
  }

  async #resolve({ ip, port }: Backend): Promise<Address | undefined> {
    const key = `${ip}:${port}`
    const local = this.locate(ip, port)
    if (local) return local
    const believed = this.#believed.get(key)
    if (believed && Date.now() - believed.at < BELIEVE_MS) return believed.address
    const address = await this.#routes.find(`${key}/tcp`)
    if (address) this.#believed.set(key, { at: Date.now(), address })
    else this.#believed.delete(key)
    return address
  }
}

function versionOf({ metadata }: Service | EndpointSlice): string {
  return `${metadata.uid}@${metadata.resourceVersion ?? ''}`
}
