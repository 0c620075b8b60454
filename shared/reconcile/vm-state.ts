// What is known of a Node's VM: the cloud's word in NodePool.status.instances, and the agent's own when
// it was told to shut down.

import { conditionOf } from '../api/conditions.ts'
import { INSTANCE_ID_ANNOTATION, NODE_SHUTDOWN_MESSAGE, type Node } from '../api/node.ts'
import { NODE_POOL_LABEL, type NodePool, type PoolInstance } from '../api/node-pool.ts'
import { keyOf } from '../key.ts'
import type { Reader } from '../view/reader.ts'

export const NODE_POOLS = 'nodepools.container.wherry.dev'

export type VmState =
  | { is: 'fine' }
  /** It boots; what was known of its agent stays. */
  | { is: 'starting' }
  /** No such VM: the Node goes. */
  | { is: 'gone'; why: string }
  /** Its containers do not run, for certain. */
  | { is: 'off'; why: string }
  /** Going down in good order: its pods still serve. */
  | { is: 'leaving'; why: string }
  /** Unhealthy, by a health check only. */
  | { is: 'suspect'; why: string }

export function vmState(reader: Reader, node: Node): VmState {
  const poolName = node.metadata.labels?.[NODE_POOL_LABEL]
  if (poolName === undefined) return unlessShutDown(node)
  const pool = reader.get(keyOf(NODE_POOLS, '', poolName)) as NodePool | undefined
  if (!pool) return { is: 'gone', why: `its node pool ${poolName} was deleted` }
  const instances = pool.status?.instances
  if (!instances) return unlessShutDown(node)
  const instance = byName(instances).get(node.metadata.name)
  if (!instance) return { is: 'gone', why: 'its VM was deleted' }
  const known = node.metadata.annotations?.[INSTANCE_ID_ANNOTATION]
  if (known !== undefined && known !== instance.id)
    return { is: 'off', why: 'its VM was replaced by a new one' }
  return stateOfInstance(instance, node)
}

function stateOfInstance({ status, isHealthy }: PoolInstance, node: Node): VmState {
  switch (status) {
    case 'STOPPED':
    case 'TERMINATED':
    case 'SUSPENDED':
    case 'REPAIRING':
      return { is: 'off', why: `its VM is ${status}` }
    case 'STOPPING':
    case 'SUSPENDING':
    case 'DELETING':
      return { is: 'leaving', why: `its VM is ${status}` }
    case 'PROVISIONING':
    case 'STAGING':
      return { is: 'starting' }
    default: {
      // Its health check fails because it shuts down, not the other way round.
      if (isShuttingDown(node) || isHealthy !== false) return unlessShutDown(node)
      return { is: 'suspect', why: 'its VM fails its health check' }
    }
  }
}

function unlessShutDown(node: Node): VmState {
  return isShuttingDown(node) ? { is: 'leaving', why: 'it shuts down' } : { is: 'fine' }
}

/** True when the agent has said that its VM was told to shut down. */
export function isShuttingDown(node: Node): boolean {
  const ready = conditionOf(node, 'Ready')
  return ready?.status === 'False' && ready.message === NODE_SHUTDOWN_MESSAGE
}

/** A list that is stored never changes: one index of it serves every Node of the pool. */
const INDEXES = new WeakMap<readonly PoolInstance[], Map<string, PoolInstance>>()

function byName(instances: readonly PoolInstance[]): Map<string, PoolInstance> {
  const known = INDEXES.get(instances)
  if (known) return known
  const index = new Map(instances.map((instance) => [instance.name, instance]))
  INDEXES.set(instances, index)
  return index
}
