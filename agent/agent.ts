// The agent of one VM, put together: who it is, what it shall run, what it tells. main.ts starts it.

import { join } from 'node:path'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import type { DesiredState } from '#shared/api/agent-wire.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import { INSTANCE_ID_ANNOTATION } from '#shared/api/node.ts'
import type { Log } from '#shared/ports/log.ts'
import type { AddressPool } from './network/address-pool.ts'
import type { Address, Network } from './network/network.ts'
import { createApiClient } from './node/api-client.ts'
import { allocatableOf } from './node/capacity.ts'
import { createIdentity } from './node/metadata.ts'
import type { Metadata, VmFacts } from './node/metadata.ts'
import { makeNode } from './node/node-object.ts'
import { Reporter } from './node/reporter.ts'
import { Sync } from './node/sync.ts'
import { listenForWakeUps } from './node/wake-ups.ts'
import type { NodeContext } from './pods/node-context.ts'
import { configurationOf, Pods } from './pods/pods.ts'
import type { Runtime } from './runtime/runtime.ts'
import { startServer } from './server/server.ts'

export interface AgentOptions {
  facts: VmFacts
  metadata: Metadata
  runtime: Runtime
  network: Network
  pool: AddressPool
  stateDir: string
  log: Log
  now: () => number
}

export interface Agent {
  /** Stops the containers politely and everything else. Their pods are not told to have ended. */
  shutDown(graceSeconds: number): Promise<void>
}

/** Starts it; resolves when its server listens and its first report is on the way. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { facts, metadata, runtime, network, stateDir, log, now } = options
  const stop = new AbortController()
  const { signal } = stop
  const identity = createIdentity(metadata, facts.audience, now)
  const api = createApiClient({ url: facts.apiUrl, ca: facts.apiCa, node: facts.name, identity })
  let current: DesiredState | undefined
  await runtime.endLeftovers()

  const reporter = new Reporter({
    send: (report) => api.report(report),
    log,
    signal,
    now,
    onUnknown: (unknown) => pods.dropUnknown(unknown),
  })
  const context: NodeContext = {
    nodeName: facts.name,
    hostIP: facts.ip,
    allocatable: allocatableOf(facts.machineType),
    api: addressOf(facts.apiUrl),
    stateDir,
    runtime,
    network,
    log,
    now,
    configuration: () => configurationOf(current),
    services: () => current?.services ?? [],
    publish: (news) => reporter.tellPod(news),
    event: (event) => reporter.tellEvent(event),
  }
  const pods = new Pods(
    context,
    (uid) => reporter.isGoneTold(uid),
    (uid) => reporter.forget(uid),
  )
  const server = await startServer({
    token: facts.agentToken,
    nodeName: facts.name,
    pods,
    runtime,
    network,
    log,
  })
  await network.openNodePort(AGENT_PORT, server.address)
  const tellNode = async (): Promise<void> =>
    reporter.tellNode(await makeNode(facts, runtime, stateDir, now()))

  let isFirst = true
  const sync = new Sync({
    read: () => api.desired(),
    async apply(desired) {
      current = desired
      if (isFirst) options.pool.keepOnly(new Set(desired.pods.map(({ metadata: { uid } }) => uid)))
      isFirst = false
      await network.applyServices(desired.services, desired.endpointSlices)
      await pods.apply(desired)
      reporter.compare(desired.pods, desired.version)
      if (isStranger(desired, facts.id)) await tellNode()
    },
    isWaiting: () => pods.isWaitingForConfiguration(),
    log,
    signal,
    file: join(stateDir, 'desired.json'),
    instanceId: facts.id,
  })
  await tellNode()
  void sync.start()
  void listenForWakeUps({
    project: facts.pubsubProject,
    cluster: facts.cluster,
    node: facts.name,
    onWake: () => sync.wake(),
    log,
    signal,
  })
  log.info('the agent runs', { node: facts.name, instance: facts.id, server: server.address.port })

  return {
    async shutDown(graceSeconds) {
      stop.abort()
      sync.stop()
      await pods.shutDown(graceSeconds)
      server.close()
      api.close()
      await network.close()
    },
  }
}

/**
 * The API does not know this VM as a ready node: it lost it, has another incarnation under its name,
 * or somebody took it for dead while it was only out of reach.
 */
function isStranger({ node }: DesiredState, instanceId: string): boolean {
  if (node?.metadata.annotations?.[INSTANCE_ID_ANNOTATION] !== instanceId) return true
  return conditionOf(node, 'Ready')?.status === 'Unknown'
}

function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url)
  return { host: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}
