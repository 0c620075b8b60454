// What a pod's worker needs from the node it runs on. main.ts fills it in; tests too.

import type { Service } from '#shared/api/service.ts'
import type { Log } from '#shared/ports/log.ts'
import type { PodStatus } from '#shared/api/pod.ts'
import type { NodeEvent } from '#shared/api/agent-wire.ts'
import type { ContainerWords } from '#shared/api/last-words.ts'
import type { Address, Network } from '../network/network.ts'
import type { NodeDisks } from '../disks/node-disks.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Configuration } from './env.ts'

export interface NodeContext {
  readonly nodeName: string
  readonly hostIP: string
  readonly allocatable: { cpuMillis: number; memoryBytes: number }
  /** All the memory it has. */
  readonly memoryBytes: number
  /** Whether containers may be privileged. */
  readonly allowsPrivileged: boolean
  /** Where this agent finds the machine's own files: `/proc/1/root` in a container of its own. */
  readonly machineRoot: string
  /** Where the API answers: KUBERNETES_SERVICE_HOST and _PORT. */
  readonly api: Address
  readonly stateDir: string
  readonly runtime: Runtime
  readonly network: Network
  readonly disks: Pick<NodeDisks, 'make' | 'release'>
  readonly log: Log
  now: () => number
  /** What the node's pods refer to, as last read. */
  configuration(): Configuration
  services(): readonly Service[]
  /** The pod's news. `isSettling`: more is about to come, wait a little. */
  publish(news: PodNews): void
  event(event: NodeEvent): void
}

export interface PodNews {
  namespace: string
  name: string
  uid: string
  status: PodStatus
  isGone: boolean
  isSettling: boolean
  /** By container: what those said that have ended badly since the news before. */
  lastWords?: Record<string, ContainerWords>
}
