// Simulated nodes: a VM that can die, with an agent that hears of work by message only, starts pods,
// stops them, and reports.

import { withCondition } from '#shared/api/conditions.ts'
import { INSTANCE_ID_ANNOTATION } from '#shared/api/node.ts'
import type { Node } from '#shared/api/node.ts'
import { NODE_POOL_LABEL } from '#shared/api/node-pool.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import type { Pod } from '#shared/api/pod.ts'
import { fnv32 } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import type { Key } from '#shared/key.ts'
import { formatTime } from '#shared/time.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { ClusterClient } from './cluster.ts'
import type { Random } from './random.ts'

const POOL_KEY = keyOf('nodepools.container.wherry.dev', '', 'pool')
/** What each node offers: room for few pods, so that the scheduler has to think. */
const ALLOCATABLE = { cpu: '2', memory: '4Gi', pods: '110' }

interface Agent {
  name: string
  id: string
  isAlive: boolean
  /** A message came: the desired state must be read. */
  isWoken: boolean
  /** The pods as they were last read, by key. */
  known: Map<Key, Pod>
}

export class Agents {
  readonly #client: ClusterClient
  readonly #clock: Clock
  readonly #random: Random
  readonly #agents: Agent[] = []

  constructor(client: ClusterClient, clock: Clock, random: Random) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  get alive(): readonly Agent[] {
    return this.#agents.filter((agent) => agent.isAlive)
  }

  /** A VM boots: the cloud lists it, its agent registers the Node. */
  async boot(): Promise<void> {
    const number = this.#agents.length
    const agent: Agent = {
      name: `vm-${number}`,
      id: String(1000 + number),
      isAlive: true,
      isWoken: true,
      known: new Map(),
    }
    this.#agents.push(agent)
    await this.listInstances()
    await this.#client.put(`node:${agent.name}`, this.#node(agent))
  }

  /** The VM is gone; the cloud has not noticed yet. */
  kill(agent: Agent): void {
    agent.isAlive = false
  }

  /** The cloud function writes down which VMs there are. */
  async listInstances(): Promise<void> {
    const pool = (await this.#client.read()).get(POOL_KEY) as NodePool | undefined
    const instances = this.alive.map(({ name, id }) => ({
      name,
      id,
      status: 'RUNNING',
      creationTimestamp: formatTime(this.#clock.now()),
    }))
    const next: NodePool = {
      apiVersion: 'container.wherry.dev/v1',
      kind: 'NodePool',
      metadata: pool?.metadata ?? { name: 'pool', uid: '', creationTimestamp: '' },
      spec: pool?.spec ?? {
        nodeCount: 2,
        zone: 'z',
        machineType: 'e2-medium',
        diskSizeGb: 10,
        spot: false,
      },
      status: { ...pool?.status, instances },
    }
    await this.#client.put('function:cloud', next)
  }

  /** A wake-up arrived; `*` is for all. */
  wake(node: string): void {
    for (const agent of this.#agents) if (node === '*' || agent.name === node) agent.isWoken = true
  }

  /** Some agent does some of its work. Answers whether there was any. */
  async act(): Promise<boolean> {
    const agent = this.#random.pick(this.alive.filter((each) => this.#hasWork(each)))
    if (!agent) return false
    if (agent.isWoken) await this.#readDesired(agent)
    else await this.#step(agent)
    return true
  }

  /** A ready pod fails its probe, or one that failed passes again. */
  async flip(): Promise<void> {
    const agent = this.#random.pick(this.alive)
    const pod = this.#random.pick([...(agent?.known.values() ?? [])].filter(isRunning))
    if (agent && pod) await this.#report(agent, pod, !isReady(pod))
  }

  #hasWork(agent: Agent): boolean {
    return agent.isWoken || [...agent.known.values()].some((pod) => !isSettled(pod))
  }

  async #readDesired(agent: Agent): Promise<void> {
    agent.isWoken = false
    const reader = await this.#client.read()
    if (!reader.get(keyOf('nodes', '', agent.name))) {
      await this.#client.put(`node:${agent.name}`, this.#node(agent))
    }
    const pods = reader.podsOnNode(agent.name) as readonly Pod[]
    agent.known = new Map(pods.map((pod) => [keyOfPod(pod), pod]))
  }

  /** One pod comes one step further: started, ready, or stopped. */
  async #step(agent: Agent): Promise<void> {
    const pod = this.#random.pick([...agent.known.values()].filter((each) => !isSettled(each)))
    if (!pod) return
    if (!pod.metadata.deletionTimestamp) {
      await this.#report(agent, pod, isRunning(pod))
      return
    }
    const key = keyOfPod(pod)
    agent.known.delete(key)
    const current = (await this.#client.read()).get(key)
    if (current?.metadata.uid === pod.metadata.uid) {
      await this.#client.remove(`node:${agent.name}`, key)
    }
  }

  async #report(agent: Agent, pod: Pod, isReady: boolean): Promise<void> {
    const key = keyOfPod(pod)
    const current = (await this.#client.read()).get(key) as Pod | undefined
    if (current?.metadata.uid !== pod.metadata.uid) {
      agent.known.delete(key)
      return
    }
    const now = this.#clock.now()
    const status = isReady ? 'True' : 'False'
    const conditions = ['Ready', 'ContainersReady'].reduce(
      (list, type) => withCondition(list, { type, status }, now),
      current.status?.conditions ?? [],
    )
    const next: Pod = {
      ...current,
      status: { ...current.status, phase: 'Running', podIP: addressOf(pod), conditions },
    }
    agent.known.set(key, next)
    await this.#client.put(`node:${agent.name}`, next)
  }

  #node({ name, id }: Agent): Node {
    const time = formatTime(this.#clock.now())
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        uid: '',
        creationTimestamp: '',
        labels: { [NODE_POOL_LABEL]: 'pool', 'kubernetes.io/hostname': name },
        annotations: { [INSTANCE_ID_ANNOTATION]: id },
      },
      spec: {},
      status: {
        capacity: ALLOCATABLE,
        allocatable: ALLOCATABLE,
        conditions: [
          { type: 'Ready', status: 'True', reason: 'KubeletReady', lastTransitionTime: time },
        ],
      },
    }
  }
}

function keyOfPod({ metadata }: Pod): Key {
  return keyOf('pods', metadata.namespace, metadata.name)
}

function isRunning(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && !pod.metadata.deletionTimestamp
}

function isReady(pod: Pod): boolean {
  return (
    pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ??
    false
  )
}

/** Nothing to do for the agent. */
function isSettled(pod: Pod): boolean {
  return isRunning(pod) && isReady(pod)
}

function addressOf(pod: Pod): string {
  const hash = fnv32(pod.metadata.uid)
  return `10.${hash & 127}.${(hash >>> 8) & 255}.${(hash >>> 16) & 255}`
}
