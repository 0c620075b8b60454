// What the agent asks of a node's network. `loopback` (loopback.ts) plays it on a machine where VMs
// have no network of their own; the kernel's (bridge, nftables) goes behind the same interface.

import type { DesiredState } from '#shared/api/agent-wire.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'

export interface Address {
  host: string
  port: number
}

/** A port of the node that leads to a port of the pod. */
export interface HostPort {
  /** Only at this address of the node; undefined: at all. */
  hostIP?: string
  hostPort: number
  containerPort: number
  protocol: 'TCP' | 'UDP' | 'SCTP'
}

export interface SandboxNetwork {
  /** The process whose network namespace is the pod's; undefined where pods have none of their own. */
  pid?: number
  /** It uses the node's network as it is: its address is the node's. */
  hostNetwork: boolean
  hostPorts: readonly HostPort[]
}

/** What stands in a resolv.conf. */
export interface DnsSettings {
  nameservers: readonly string[]
  searches: readonly string[]
  options: readonly string[]
}

/** What all nodes forward for, and what isolates this node's pods. */
export type WantedNetwork = Pick<
  DesiredState,
  'pods' | 'services' | 'endpointSlices' | 'networkPolicies'
>

export interface Network {
  /**
   * True: a pod's address is on an interface of the pod, and everything reaches it there. False: it is
   * a name only, and `openPort` and `locate` say where its ports are.
   */
  readonly hasPodAddresses: boolean
  /**
   * Gives the pod an address, the same one for as long as the pod is not removed. Asked again with
   * another `pid` when its sandbox had to be made anew.
   */
  addPod(uid: string, sandbox: SandboxNetwork): Promise<string>
  /** Takes back the address and all of the pod's ports. */
  removePod(uid: string): Promise<void>
  /**
   * Makes `containerPort` of the pod's address lead to the container, and answers where the container
   * must listen for that (its $HOST and $PORT). Asked before each start; the answer stays the
   * same while it can. Port 0: just somewhere to listen, that nothing leads to. Not asked where pods
   * have addresses.
   */
  openPort(uid: string, containerPort: number): Promise<Address>
  /**
   * Where a port of one of this node's pods answers, seen from the agent. Where pods have addresses:
   * at that address.
   */
  locate(podIP: string, containerPort: number): Address | undefined
  /**
   * Forwards for exactly these Services, to their ready endpoints, and isolates pods by exactly these
   * policies. Costs what has changed.
   */
  apply(wanted: WantedNetwork): Promise<void>
  /** Where a pod of this node reaches a port of a Service. */
  serviceAddress(service: Service, port: ServicePort): Address | undefined
  /** How a pod finds names, by its dnsPolicy and dnsConfig. */
  dnsFor(pod: Pod): DnsSettings
  /** Makes a port of the VM's own address lead to a local one. Not asked where pods have addresses. */
  openNodePort(port: number, to: Address): Promise<void>
  close(): Promise<void>
}
