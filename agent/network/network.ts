// What the agent asks of a node's network. `loopback` (loopback.ts) plays it on a machine where VMs
// have no network of their own; the kernel's (bridge, nftables) goes behind the same interface.

import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service, ServicePort } from '#shared/api/service.ts'

export interface Address {
  host: string
  port: number
}

export interface Network {
  /** Gives the pod an address, the same one for as long as the pod is not removed. */
  addPod(uid: string): Promise<string>
  /** Takes back the address and all of the pod's ports. */
  removePod(uid: string): Promise<void>
  /**
   * Makes `containerPort` of the pod's address lead to the container, and answers where the container
   * must listen for that (its $HOST and $PORT). Asked before each start; the answer stays the
   * same while it can. Port 0: just somewhere to listen, that nothing leads to.
   */
  openPort(uid: string, containerPort: number): Promise<Address>
  /** Where a port of one of this node's pods answers, seen from the agent. */
  locate(podIP: string, containerPort: number): Address | undefined
  /** Forwards for exactly these Services, to their ready endpoints. Costs what has changed. */
  applyServices(services: readonly Service[], slices: readonly EndpointSlice[]): Promise<void>
  /** Where a pod of this node reaches a port of a Service. */
  serviceAddress(service: Service, port: ServicePort): Address | undefined
  /** Makes a port of the VM's own address lead to a local one. */
  openNodePort(port: number, to: Address): Promise<void>
  close(): Promise<void>
}
