// The network of a VM with a kernel of its own: pods have interfaces and addresses of the VM's range,
// Services and NetworkPolicies are nftables rules, names are answered here. What the kernel has stays
// when the agent ends; the next one takes it over.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PodPolicy } from '#shared/api/agent-wire.ts'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import { isIpv4 } from '#shared/api/name-rules.ts'
import type { Pod } from '#shared/api/pod.ts'
import { CLUSTER_DOMAIN, DNS_SERVICE_IP, SERVICE_RANGE } from '#shared/api/service-addresses.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'
import type { Log } from '#shared/ports/log.ts'
import type { AddressPool } from '../address-pool.ts'
import { ClusterNames } from '../dns/cluster-names.ts'
import { startDnsServer } from '../dns/dns-server.ts'
import type { DnsServer } from '../dns/dns-server.ts'
import { Forwarder } from '../dns/forwarder.ts'
import type { Address, DnsSettings, Network, SandboxNetwork, WantedNetwork } from '../network.ts'
import { dnsOf, hostDns } from '../resolv-conf.ts'
import { serviceOf } from '../service-ports.ts'
import { FragmentDraft } from './fragment-draft.ts'
import { pickChain } from './base-table.ts'
import { HealthCheckPorts } from './health-check-ports.ts'
import { keepPods, keptPods } from './kept-pods.ts'
import type { KernelPod } from './kept-pods.ts'
import { ensureLink, linkNameOf, podLinks, removeLink } from './pod-links.ts'
import { addIsolation, policyFragment } from './policy-rules.ts'
import { run } from './programs.ts'
import { RulesetWriter } from './ruleset-writer.ts'
import { hasClusterIp } from './service-rules.ts'
import { ServiceTable } from './service-table.ts'

export interface KernelNetworkOptions {
  /** `podRange`: the VM's alias range, which the VPC routes to it. */
  node: { name: string; ip: string; podRange: string }
  /** Where the API answers, when that is an address: Service `kubernetes` in `default` leads there. */
  api?: { ip: string; port: number } | undefined
  pool: AddressPool
  /** The Services that an earlier agent knew: their names are answered until it is known what there is. */
  remembered?: Pick<WantedNetwork, 'services' | 'endpointSlices'> | undefined
  stateDir: string
  /** The file that names the VM's own resolvers. */
  resolvConf?: string
  log: Log
  now: () => number
}

/** Opens it: the kernel is told to forward, and the cluster's DNS answers. */
export async function createKernelNetwork(options: KernelNetworkOptions): Promise<Network> {
  const { node, log, now, remembered, resolvConf } = options
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  // Held on the loopback device, as a dummy device would: pods are routed to it by their only route.
  await run('ip', ['addr', 'replace', `${DNS_SERVICE_IP}/32`, 'dev', 'lo'])
  await run('ip', ['link', 'set', 'lo', 'up'])
  const names = new ClusterNames(CLUSTER_DOMAIN, DNS_SERVICE_IP)
  const servers = (): string[] =>
    hostDns(resolvConf).nameservers.filter((server) => isIpv4(server) && server !== DNS_SERVICE_IP)
  const forwarder = new Forwarder({ servers, now })
  const { promise: known, resolve: onKnown } = Promise.withResolvers<void>()
  if (remembered) {
    const slicesOf = Map.groupBy(remembered.endpointSlices, serviceOf)
    for (const service of remembered.services) {
      const { namespace, name } = service.metadata
      names.set(service, slicesOf.get(`${namespace}/${name}`) ?? [])
    }
    onKnown()
  }
  const dns = await startDnsServer({ address: DNS_SERVICE_IP, names, forwarder, known, log })
  const writer = new RulesetWriter(
    {
      nodeIp: node.ip,
      podRange: node.podRange,
      serviceRange: SERVICE_RANGE,
      dnsIp: DNS_SERVICE_IP,
      agentPort: AGENT_PORT,
    },
    log,
  )
  const network = new KernelNetwork(options, { names, dns, onKnown, writer })
  await network.adopt()
  return network
}

interface Parts {
  names: ClusterNames
  dns: DnsServer
  /** The names are those of the cluster from now on. */
  onKnown: () => void
  writer: RulesetWriter
}

class KernelNetwork implements Network {
  readonly hasPodAddresses = true
  readonly #options: KernelNetworkOptions
  readonly #dns: DnsServer
  readonly #names: ClusterNames
  readonly #onKnown: () => void
  readonly #writer: RulesetWriter
  readonly #services: ServiceTable
  readonly #health: HealthCheckPorts
  readonly #file: string
  #pods = new Map<string, KernelPod>()
  #policies: readonly PodPolicy[] = []
  /** Before it is known what is wanted, the table of the agent before this one stays. */
  #hasApplied = false

  constructor(options: KernelNetworkOptions, { names, dns, onKnown, writer }: Parts) {
    this.#options = options
    this.#dns = dns
    this.#names = names
    this.#onKnown = onKnown
    this.#writer = writer
    this.#health = new HealthCheckPorts(options.log)
    this.#services = new ServiceTable({
      node: options.node,
      api: options.api,
      writer,
      names,
      health: this.#health,
    })
    this.#file = join(options.stateDir, 'network.json')
  }

  /** Takes over the pods whose links are still there. */
  async adopt(): Promise<void> {
    const links = new Set(await podLinks())
    this.#pods = new Map([...keptPods(this.#file)].filter(([uid]) => links.has(linkNameOf(uid))))
    for (const uid of this.#pods.keys()) links.delete(linkNameOf(uid))
    for (const link of links) await removeLink(link)
    for (const uid of this.#pods.keys()) this.#setPod(uid)
  }

  async addPod(uid: string, { pid, hostNetwork, hostPorts }: SandboxNetwork): Promise<string> {
    const { node, pool } = this.#options
    if (hostNetwork) return node.ip
    if (pid === undefined) throw new Error('the pod has no network namespace')
    const ip = pool.take(uid)
    this.#pods.set(uid, { ip, hostPorts: [...hostPorts] })
    keepPods(this.#file, this.#pods)
    this.#setPod(uid)
    const isolated = this.#commit()
    // Whoever waits for it first hears of a failure.
    isolated.catch(() => undefined)
    await ensureLink(linkNameOf(uid), { pid, ip, nodeIp: node.ip }, isolated)
    return ip
  }

  async removePod(uid: string): Promise<void> {
    if (this.#pods.delete(uid)) {
      keepPods(this.#file, this.#pods)
      await removeLink(linkNameOf(uid))
      this.#setPod(uid)
      await this.#commit()
    }
    this.#options.pool.free(uid)
  }

  /** Everything of a pod answers at its own address. */
  async openPort(uid: string, containerPort: number): Promise<Address> {
    return { host: this.#pods.get(uid)?.ip ?? this.#options.node.ip, port: containerPort }
  }

  locate(podIP: string, containerPort: number): Address | undefined {
    return { host: podIP, port: containerPort }
  }

  async apply(wanted: WantedNetwork): Promise<void> {
    if (!this.#hasApplied) await this.#forgetAllBut(wanted.pods)
    this.#setPolicies(wanted.networkPolicies)
    // In one go: nobody sees it without names.
    if (!this.#hasApplied) this.#names.clear()
    const cleanUp = this.#services.set(wanted.services, wanted.endpointSlices)
    this.#onKnown()
    this.#hasApplied = true
    await this.#commit()
    await cleanUp()
  }

  serviceAddress(service: Service, port: ServicePort): Address | undefined {
    const { clusterIP } = service.spec
    return hasClusterIp(service) && clusterIP ? { host: clusterIP, port: port.port } : undefined
  }

  dnsFor(pod: Pod): DnsSettings {
    const cluster = { server: DNS_SERVICE_IP, domain: CLUSTER_DOMAIN }
    return dnsOf(pod, { cluster, host: hostDns(this.#options.resolvConf) })
  }

  async openNodePort(): Promise<void> {
    // The agent's server listens at the node's address itself.
  }

  async close(): Promise<void> {
    this.#dns.close()
    this.#health.close()
    this.#writer.close()
  }

  /** Pods that went while no agent was there. */
  async #forgetAllBut(pods: readonly Pod[]): Promise<void> {
    const present = new Set(pods.map(({ metadata }) => metadata.uid))
    for (const uid of this.#pods.keys()) if (!present.has(uid)) await this.removePod(uid)
  }

  async #commit(): Promise<void> {
    if (this.#hasApplied) await this.#writer.commit()
  }

  #setPolicies(policies: readonly PodPolicy[]): void {
    const before = new Map(this.#policies.map((policy) => [ownerOf(policy), policy]))
    const after = new Map(policies.map((policy) => [ownerOf(policy), policy]))
    this.#policies = policies
    let isChanged = false
    for (const owner of before.keys()) {
      if (after.has(owner)) continue
      isChanged = true
      this.#writer.set(owner, undefined)
    }
    for (const [owner, policy] of after) {
      if (JSON.stringify(before.get(owner)) === JSON.stringify(policy)) continue
      isChanged = true
      this.#writer.set(owner, policyFragment(policy))
    }
    if (isChanged) for (const uid of this.#pods.keys()) this.#setPod(uid)
  }

  /** The pod's own part of the table; none when it is gone. */
  #setPod(uid: string): void {
    const pod = this.#pods.get(uid)
    if (!pod) return this.#writer.set(`pod/${uid}`, undefined)
    const { ip, hostPorts } = pod
    const link = linkNameOf(uid)
    const draft = new FragmentDraft()
    draft.element('hairpin', `${ip} . ${ip}`)
    draft.element('pod-links', `"${link}" . ${ip}`)
    addIsolation(draft, { uid, ip, link }, this.#policies)
    const [pick, rules] = pickChain(1)
    for (const { hostIP, hostPort, containerPort, protocol } of hostPorts) {
      const at = hostIP && hostIP !== '0.0.0.0' ? hostIP : this.#options.node.ip
      if (!isIpv4(at)) continue
      const key = `${at} . ${protocol.toLowerCase()} . ${hostPort}`
      draft.shared(pick, rules)
      draft.element('service-ips', key, `goto ${pick}`)
      draft.element('endpoints', `${key} . 0`, `${ip} . ${containerPort}`)
    }
    this.#writer.set(`pod/${uid}`, draft.fragment())
  }
}

function ownerOf({ namespace, name }: PodPolicy): string {
  return `policy/${namespace}/${name}`
}
