// What goes wrong, and how it is seen that it was noticed and made good.

import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultName } from '#emulator/fault-kinds.ts'
import type { Pod } from '#shared/api/pod.ts'
import { ANSWERED_ANNOTATION, type Node } from '#shared/api/node.ts'
import { RECENT_MS } from '#shared/reconcile/suspicion.ts'
import { parseTime } from '#shared/time.ts'
import { isNodeReady, isServing, restartsOf, type Cluster } from './cluster.ts'
import { PATIENCE_MS } from './load.ts'

export interface Scenario {
  name: string
  title: string
  /** Announced before it happens: no request need be lost. */
  isPlanned: boolean
  /** How Kubernetes' own way of that event is called, for the comparison; absent: it has none. */
  comparison?: 'node-death'
  /** VMs that are processes cannot have it. */
  needs?: 'docker'
}

export const SCENARIOS = [
  { name: 'container-crash', title: 'Container crash', isPlanned: false },
  { name: 'agent-crash', title: 'Agent crash', isPlanned: false },
  { name: 'docker-death', title: 'Docker Engine death', isPlanned: false, needs: 'docker' },
  { name: 'vm-kill', title: 'VM kill (power cut)', isPlanned: false, comparison: 'node-death' },
  { name: 'vm-hang', title: 'VM hang', isPlanned: false, comparison: 'node-death' },
  {
    name: 'partition',
    title: 'VM cut off (partition)',
    isPlanned: false,
    comparison: 'node-death',
    needs: 'docker',
  },
  { name: 'preemption', title: 'Preemption with notice', isPlanned: true },
  { name: 'vm-stop', title: 'VM stop', isPlanned: true },
  { name: 'drain', title: 'kubectl drain', isPlanned: true },
  { name: 'rollout', title: 'Rolling update', isPlanned: true },
] as const satisfies Scenario[]

export type ScenarioName = (typeof SCENARIOS)[number]['name']

export interface Hands {
  cluster: Cluster
  machines: 'process' | 'docker'
  fault(name: FaultName, target?: string): Promise<void>
  /** `drain` and `uncordon` of kubectl. */
  kubectl(command: string): Promise<unknown>
}

/** Times are milliseconds since 1970. */
export interface Outcome {
  causedAt: number
  /** The control plane knew of it; undefined: it was its own doing. */
  detectedAt: number | undefined
  /** As many pods as before are Ready, none of them one that was lost. */
  readyAt: number
  /** Names of those that came instead, or came back. */
  replacements: string[]
  /** From the end of the fault until all is as before; undefined: there was nothing to end. */
  backMs?: number
}

export const FAULTS = {
  'container-crash': 'container-kill',
  'agent-crash': 'agent-kill',
  'docker-death': 'docker-kill',
  'vm-kill': 'vm-kill',
  'vm-hang': 'vm-hang',
  partition: 'partition',
  preemption: 'vm-preempt',
  'vm-stop': 'vm-stop',
} as const satisfies Partial<Record<ScenarioName, FaultName>>

const DEPLOYMENT = '/apis/apps/v1/namespaces/default/deployments/web'
const REPLICAS = 2

/** A VM that hangs does so long enough for every visitor to lose patience. */
const HANG_MS = 3 * PATIENCE_MS

/** How often a VM's agent is asked whether it is well again. */
const LOOK_MS = 50
/** One that died is back before this, or was never missed. */
const MISSED_MS = 3000
const AGENT_PORT = 10250

/** True where such VMs can have it. */
export function canHave(name: ScenarioName, machines: Hands['machines']): boolean {
  const scenario: Scenario | undefined = SCENARIOS.find((each) => each.name === name)
  return scenario?.needs !== 'docker' || machines === 'docker'
}

/** Causes it and sees it to its end. `turn` chooses the victim. */
export function play(name: ScenarioName, hands: Hands, turn: number): Promise<Outcome> {
  if (name === 'container-crash') return containerCrash(hands, turn)
  if (name === 'rollout') return rollout(hands, turn)
  if (name === 'drain') return drain(hands, turn)
  // Where a VM has a kernel of its own its containers outlive these.
  const outlives = name === 'agent-crash' || name === 'docker-death'
  if (outlives && hands.machines === 'docker') return programDeath(hands, FAULTS[name], turn)
  // Who answered within the last minute is believed for longer: not the one that has just hung.
  return nodeFault(hands, FAULTS[name], name === 'partition' ? turn + 1 : turn)
}

/** Nothing need be replaced: it is over when the agent says again that all is well on its VM. */
async function programDeath(
  hands: Hands,
  how: 'agent-kill' | 'docker-kill',
  turn: number,
): Promise<Outcome> {
  const { cluster } = hands
  const victim = webPods(cluster)[turn % REPLICAS]?.spec.nodeName ?? ''
  const node = (): Node | undefined =>
    cluster.nodes().find(({ metadata }) => metadata.name === victim)
  const addresses = node()?.status?.addresses ?? []
  const ip = addresses.find(({ type }) => type === 'InternalIP')?.address
  const causedAt = Date.now()
  let noticedAt: number | undefined
  await hands.fault(how, victim)
  const isWell = async (): Promise<boolean> => {
    if (!isNodeReady(node())) noticedAt ??= Date.now()
    try {
      const answer = await fetch(`http://${ip}:${AGENT_PORT}/healthz`, {
        signal: AbortSignal.timeout(PATIENCE_MS),
        headers: { connection: 'close' },
      })
      return answer.ok
    } catch {
      return false
    }
  }
  while (Date.now() - causedAt < MISSED_MS && (await isWell())) await sleep(LOOK_MS)
  while (!(await isWell())) await sleep(LOOK_MS)
  const wellAt = Date.now()
  const readyAt = await cluster.when('all is as before', () => isCalm(cluster))
  return { causedAt, detectedAt: noticedAt, readyAt: Math.max(wellAt, readyAt), replacements: [] }
}

/** What runs there goes elsewhere first; then the node is taken back into use. */
async function drain(hands: Hands, turn: number): Promise<Outcome> {
  const { cluster } = hands
  const victim = webPods(cluster)[turn % REPLICAS]?.spec.nodeName ?? ''
  const before = new Set(names(webPods(cluster)))
  const remaining = (): Pod[] =>
    webPods(cluster).filter((pod) => isServing(pod) && pod.spec.nodeName !== victim)
  const causedAt = Date.now()
  const ready = cluster.when('replacements', () => remaining().length >= REPLICAS)
  await hands.kubectl(`drain ${victim} --ignore-daemonsets --delete-emptydir-data`)
  const readyAt = await ready
  const replacements = names(remaining()).filter((name) => !before.has(name))
  await hands.kubectl(`uncordon ${victim}`)
  return { causedAt, detectedAt: undefined, readyAt, replacements }
}

async function nodeFault(hands: Hands, how: FaultName, turn: number): Promise<Outcome> {
  const { cluster } = hands
  const victim = webPods(cluster)[turn % REPLICAS]?.spec.nodeName ?? ''
  const node = cluster.nodes().find(({ metadata }) => metadata.name === victim)
  const lost = new Set(uidsOn(cluster, victim))
  const before = new Set(names(webPods(cluster)))
  const isNoticed = (): boolean => {
    const now = cluster.nodes().find(({ metadata }) => metadata.uid === node?.metadata.uid)
    return !isNodeReady(now)
  }
  const causedAt = Date.now()
  const detected = cluster.when(`${victim} is not ready`, isNoticed)
  const remaining = (): Pod[] =>
    webPods(cluster).filter((pod) => isServing(pod) && !lost.has(pod.metadata.uid))
  const ready = cluster.when('replacements', () => remaining().length >= REPLICAS)
  await hands.fault(how, victim)
  const [detectedAt, readyAt] = await Promise.all([detected, ready])
  const replacements = names(remaining()).filter((name) => !before.has(name))
  const outcome: Outcome = { causedAt, detectedAt, readyAt, replacements }
  if (how !== 'vm-hang' && how !== 'partition') return outcome
  await sleep(HANG_MS)
  const healedAt = Date.now()
  await hands.fault('heal')
  const backAt = await cluster.when('back', () => isCalm(cluster))
  return { ...outcome, backMs: backAt - healedAt }
}

async function containerCrash(hands: Hands, turn: number): Promise<Outcome> {
  const { cluster } = hands
  const before = webPods(cluster)[turn % REPLICAS]
  if (!before) throw new Error('no pod')
  const { uid, name } = before.metadata
  const victim = (): Pod | undefined => cluster.pods().find(({ metadata }) => metadata.uid === uid)
  const causedAt = Date.now()
  const detected = cluster.when(`the crash of ${name}`, () => {
    const pod = victim()
    const running = pod?.status?.containerStatuses?.[0]?.state?.running
    return !pod || !running || restartsOf(pod) > restartsOf(before)
  })
  const ready = cluster.when(`${name} runs again`, () => {
    const pod = victim()
    return pod !== undefined && isServing(pod) && restartsOf(pod) > restartsOf(before)
  })
  await hands.fault('container-kill', name)
  const [detectedAt, readyAt] = await Promise.all([detected, ready])
  return { causedAt, detectedAt, readyAt, replacements: [name] }
}

async function rollout({ cluster }: Hands, turn: number): Promise<Outcome> {
  const before = new Set(webPods(cluster).map(({ metadata }) => metadata.uid))
  const causedAt = Date.now()
  await restart(cluster, `bench-${turn}`)
  const readyAt = await cluster.when('the new pods', () => {
    const serving = webPods(cluster).filter(isServing)
    return serving.length === REPLICAS && serving.every(({ metadata }) => !before.has(metadata.uid))
  })
  const replacements = names(webPods(cluster).filter(isServing))
  // The last of the old ones stop after that.
  await cluster.when('the old pods have gone', () => webPods(cluster).length === REPLICAS)
  return { causedAt, detectedAt: undefined, readyAt, replacements }
}

/** As kubectl rollout restart. */
async function restart(cluster: Cluster, value: string): Promise<void> {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': `${value} ${Date.now()}` }
  await cluster.patch(DEPLOYMENT, { spec: { template: { metadata: { annotations } } } })
}

/** Two nodes that are ready, one serving pod on each, nothing else. */
export async function untilCalm({ cluster }: Hands): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    await cluster.when('all is calm', () => isCalm(cluster))
    const [first, second] = webPods(cluster)
    if (first && second && first.spec.nodeName !== second.spec.nodeName) return
    if (attempt > 10) throw new Error('the pods do not spread')
    const uid = first?.metadata.uid
    await cluster.remove(`/api/v1/namespaces/default/pods/${first?.metadata.name}`)
    await cluster.when('it has gone', () =>
      webPods(cluster).every((pod) => pod.metadata.uid !== uid),
    )
  }
}

/**
 * Whoever has answered a question lately is believed longer: each run begins when the one before it is no longer
 * remembered.
 */
export async function untilForgotten({ cluster }: Hands): Promise<void> {
  const answeredAtMs = cluster
    .nodes()
    .map(({ metadata }) => parseTime(metadata.annotations?.[ANSWERED_ANNOTATION]) ?? 0)
  await sleep(Math.max(0, Math.max(...answeredAtMs) + RECENT_MS - Date.now()))
}

/** As many nodes and pods as there should be, all well. */
export function isCalm(cluster: Cluster): boolean {
  const pods = webPods(cluster)
  const nodes = cluster.nodes()
  return (
    nodes.length === REPLICAS &&
    nodes.every(isNodeReady) &&
    pods.length === REPLICAS &&
    pods.every(isServing)
  )
}

/** In the order of their nodes. */
export function webPods(cluster: Cluster): Pod[] {
  return cluster
    .pods()
    .filter(({ metadata }) => metadata.labels?.['run'] === 'web')
    .sort((a, b) => ((a.spec.nodeName ?? '') < (b.spec.nodeName ?? '') ? -1 : 1))
}

function names(pods: readonly Pod[]): string[] {
  return pods.map(({ metadata }) => metadata.name)
}

function uidsOn(cluster: Cluster, node: string): string[] {
  return webPods(cluster)
    .filter(({ spec }) => spec.nodeName === node)
    .map(({ metadata }) => metadata.uid)
}
