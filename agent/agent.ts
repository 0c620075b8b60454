// The agent of one VM, put together: who it is, what it shall run, what it tells. main.ts starts it.

import { join } from 'node:path'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import type { DesiredState } from '#shared/api/agent-wire.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import { INSTANCE_ID_ANNOTATION, NODE_SHUTDOWN_MESSAGE } from '#shared/api/node.ts'
import type { Service } from '#shared/api/service.ts'
import type { Log } from '#shared/ports/log.ts'
import type { AddressPool } from './network/address-pool.ts'
import type { Address, Network } from './network/network.ts'
import { createAnswers } from './node/answer.ts'
import type { DiskDriver } from './disks/driver.ts'
import { NodeDisks } from './disks/node-disks.ts'
import { createApiClient } from './node/api-client.ts'
import { allocatableOf, capacityOf } from './node/capacity.ts'
import { drain, shuttingDown } from './node/drain.ts'
import { keptStateFile } from './node/kept-state.ts'
import { createIdentity } from './node/metadata.ts'
import type { Metadata, VmFacts } from './node/metadata.ts'
import { makeNode } from './node/node-object.ts'
import { Reporter } from './node/reporter.ts'
import { Sync } from './node/sync.ts'
import { listenForWakeUps } from './node/wake-ups.ts'
import type { NodeContext } from './pods/node-context.ts'
import { configurationOf, Pods } from './pods/pods.ts'
import { watchStorage } from './pods/storage-watch.ts'
import type { Runtime } from './runtime/runtime.ts'
import { checkHealth, startServer } from './server/server.ts'

export interface AgentOptions {
  facts: VmFacts
  metadata: Metadata
  runtime: Runtime
  network: Network
  /** How persistent disks become folders. */
  diskDriver: DiskDriver
  pool: AddressPool
  stateDir: string
  /** Whether containers may be privileged. */
  allowsPrivileged: boolean
  /** Where this agent finds the machine's own files. */
  machineRoot: string
  log: Log
  now: () => number
}

export interface Agent {
  /**
   * The machine goes in so many seconds: says so, lets pods and traffic leave, then stops what is left
   * politely. Pods that were not told to leave are not told to have ended.
   */
  shutDown(graceSeconds: number): Promise<void>
}

/** All addresses: a health checker asks at that of the load balancer. */
const NODE_ADDRESS = { host: '0.0.0.0', port: AGENT_PORT }
/** Kept of the time to shut down for stopping what did not leave. */
const STOP_SECONDS = 5

/** Starts it; resolves when its server listens and its first report is on the way. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { facts, metadata, runtime, network, log, now } = options
  const stop = new AbortController()
  const { signal } = stop
  const identity = createIdentity(metadata, facts.audience, now)
  const api = createApiClient({ url: facts.apiUrl, ca: facts.apiCa, node: facts.name, identity })
  const left = await runtime.takeOver()
  let current: DesiredState | undefined
  const reporter = new Reporter({
    send: (report) => api.report(report),
    log,
    signal,
    now,
    onUnknown: (unknown) => pods.dropUnknown(unknown),
  })
  const disks = new NodeDisks({
    driver: options.diskDriver,
    stateDir: options.stateDir,
    instanceId: facts.id,
    current: () => current,
    tellInUse: (names) => reporter.tellInUse(names),
    tellGrown: (news) => reporter.tellGrown(news),
    wake: () => sync.wake(),
    log,
  })
  await disks.start()
  const pods = new Pods(
    contextOf(options, { reporter, disks }, () => current),
    (uid) => reporter.isGoneTold(uid),
    (uid) => reporter.forget(uid),
    left,
  )
  const { name: node, agentToken: token } = facts
  let isDraining = false
  let isForwarding = false
  const server = await startServer({
    token,
    nodeName: node,
    pods,
    runtime,
    network,
    log,
    listen: network.hasPodAddresses ? NODE_ADDRESS : { host: '127.0.0.1', port: 0 },
    isDraining: () => isDraining,
    isForwarding: () => isForwarding,
  })
  if (!network.hasPodAddresses) await network.openNodePort(AGENT_PORT, server.address)

  const answer = createAnswers({
    check: async () => {
      if (isDraining) throw new Error(NODE_SHUTDOWN_MESSAGE)
      await checkHealth(runtime)
    },
    tell: (annotations) => tellNode(options, reporter, isDraining, annotations),
  })
  const sync = new Sync({
    read: async () => {
      const desired = await api.desired()
      // Before anything that may take its time.
      void answer(desired.node)
      return desired
    },
    apply: async (desired) => {
      const isFirst = current === undefined
      current = desired
      const onForwarding = (): void => void (isForwarding = true)
      await applyDesired(options, desired, { isFirst, isDraining, pods, reporter, onForwarding })
      disks.tend(desired).catch((error: unknown) => {
        log.error('volumes could not be tended', { error })
      })
    },
    isWaiting: () => pods.isWaitingForConfiguration(),
    log,
    signal,
    file: keptStateFile(options.stateDir),
    instanceId: facts.id,
  })
  runtime.onProblem((reason, message) => reporter.tellEvent({ type: 'Warning', reason, message }))
  watchStorage({ pods, runtime, stateDir: options.stateDir, log }, signal)
  await tellNode(options, reporter, isDraining)
  void sync.start()
  const { pubsubProject: project, cluster } = facts
  const onWake = (): void => sync.wake()
  const file = join(options.stateDir, 'subscription')
  void listenForWakeUps({ project, cluster, node, file, onWake, log, signal })
  log.info('the agent runs', { node, instance: facts.id, server: server.address.port })

  return {
    async shutDown(graceSeconds) {
      isDraining = true
      const until = now() + (graceSeconds - STOP_SECONDS) * 1000
      const patience = AbortSignal.timeout(Math.max(0, until - now()))
      await tellNode(options, reporter, isDraining)
      await drain({
        hasPods: () => pods.all().some(({ record }) => !record.isFinished),
        isAnyLeaving: () => pods.all().some(({ record }) => record.leaving && !record.isFinished),
        isBalanced: () => (current?.services ?? []).some(isBalanced),
        now,
        signal: patience,
      })
      stop.abort()
      sync.stop()
      await pods.shutDown(STOP_SECONDS)
      await disks.shutDown()
      server.close()
      runtime.close()
      api.close()
      await network.close()
    },
  }
}

/** What the pods' workers see of this node. */
function contextOf(
  options: AgentOptions,
  { reporter, disks }: { reporter: Reporter; disks: NodeDisks },
  current: () => DesiredState | undefined,
): NodeContext {
  const { facts, runtime, network, stateDir, allowsPrivileged, machineRoot, log, now } = options
  return {
    nodeName: facts.name,
    hostIP: facts.ip,
    allocatable: allocatableOf(facts.machineType),
    memoryBytes: capacityOf(facts.machineType).memoryBytes,
    allowsPrivileged,
    machineRoot,
    api: addressOf(facts.apiUrl),
    stateDir,
    runtime,
    network,
    disks,
    log,
    now,
    configuration: () => configurationOf(current()),
    services: () => current()?.services ?? [],
    publish: (news) => reporter.tellPod(news),
    event: (event) => reporter.tellEvent(event),
  }
}

interface Doing {
  isFirst: boolean
  isDraining: boolean
  pods: Pods
  reporter: Reporter
  onForwarding: () => void
}

/** Services before pods: a pod's variables name where they answer. */
async function applyDesired(
  options: AgentOptions,
  desired: DesiredState,
  { isFirst, isDraining, pods, reporter, onForwarding }: Doing,
): Promise<void> {
  if (isFirst) options.pool.keepOnly(new Set(desired.pods.map(({ metadata: { uid } }) => uid)))
  await options.network.apply(desired)
  onForwarding()
  await pods.apply(desired)
  // While the control plane takes this VM for dead it does not believe us: no contest. Its word that
  // the node is back wakes us, and then what was changed meanwhile is put right.
  const { node } = desired
  const isTrusted = node !== undefined && conditionOf(node, 'Ready')?.status === 'True'
  if (isTrusted) reporter.compare(desired.pods, desired.version)
  const isKnown = !isStranger(desired, options.facts.id)
  if (!isKnown && reporter.hasToldNode(desired.version)) {
    await tellNode(options, reporter, isDraining)
  }
}

async function tellNode(
  options: AgentOptions,
  reporter: Reporter,
  isDraining: boolean,
  annotations: Record<string, string> = {},
): Promise<void> {
  const { facts, runtime, stateDir, now } = options
  const node = await makeNode(facts, runtime, stateDir, now())
  Object.assign((node.metadata.annotations ??= {}), annotations)
  reporter.tellNode(isDraining ? shuttingDown(node) : node)
}

/** Traffic may come to it from outside of the cluster. */
function isBalanced({ spec, status }: Service): boolean {
  return spec.type === 'LoadBalancer' && (status?.loadBalancer?.ingress ?? []).length > 0
}

/** The API does not know this VM: it lost its Node, or has another incarnation under its name. */
function isStranger({ node }: DesiredState, instanceId: string): boolean {
  return node?.metadata.annotations?.[INSTANCE_ID_ANNOTATION] !== instanceId
}

function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url)
  return { host: hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}
