// What Compute Engine answered in one pass, and what that means for the objects: their status, their
// finalizers, their Events. Pure.

import {
  LOAD_BALANCER_FINALIZER,
  NODE_POOL_FINALIZER,
  type NodePool,
  type NodePoolStatus,
  type PoolInstance,
} from '#shared/api/node-pool.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Service } from '#shared/api/service.ts'
import { isEqual } from '#shared/equal.ts'
import { splitKey, type Key } from '#shared/key.ts'
import type { InstanceGroup } from '#shared/ports/compute.ts'
import { withMeta } from '#shared/reconcile/draft.ts'
import {
  IN_SYNC,
  type EventDraft,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '#shared/reconcile/outcome.ts'
import { isLeaving, NODE_POOLS, wantsBalancer } from './wishes.ts'

/** One thing on Google Cloud after this pass. */
export type PoolResult = { group: InstanceGroup } | { isGone: true } | { error: string }
export type BalancerResult = { address: string } | { isGone: true } | { error: string }

export interface Observed {
  /** By uid: a result is about one incarnation of the object. */
  pools: Map<string, PoolResult>
  balancers: Map<string, BalancerResult>
  /** By pool; undefined when they could not be listed: then nothing is known to be gone. */
  instances: Map<string, PoolInstance[]> | undefined
}

export function results(observed: Observed): Reconciler {
  return {
    name: 'cloud-results',
    wakes: () => [],
    reconcile(reader, key) {
      const object = reader.get(key)
      if (!object) return IN_SYNC
      return splitKey(key).resource === NODE_POOLS
        ? poolOutcome(key, object as NodePool, observed)
        : serviceOutcome(key, object as Service, observed)
    },
  }
}

function poolOutcome(key: Key, pool: NodePool, observed: Observed): Outcome {
  const result = observed.pools.get(pool.metadata.uid)
  if (result && 'isGone' in result) return { writes: [finalized(key, pool, NODE_POOL_FINALIZER)] }
  const instances = observed.instances?.get(pool.metadata.name) ?? (observed.instances && [])
  const status: NodePoolStatus = {
    ...pool.status,
    ...(instances ? { instances } : {}),
    ...phaseOf(pool, result, instances),
  }
  if (!messageOf(result)) delete status.message
  if (isEqual(status, pool.status)) return IN_SYNC
  const object: NodePool = { ...pool, status }
  return { writes: [{ do: 'put', object }], events: poolEvents(object, result) }
}

function phaseOf(
  pool: NodePool,
  result: PoolResult | undefined,
  instances: PoolInstance[] | undefined,
): Pick<NodePoolStatus, 'phase' | 'message'> {
  const message = messageOf(result)
  const said = message ? { message } : {}
  if (isLeaving(pool)) return { phase: 'Deleting', ...said }
  if (message) return { phase: 'Error', ...said }
  if (!result) return {}
  return { phase: isSettled(pool, result, instances ?? []) ? 'Running' : 'Provisioning' }
}

function messageOf(result: PoolResult | undefined): string | undefined {
  if (!result || 'isGone' in result) return undefined
  return 'error' in result ? result.error : result.group.lastError
}

/** True when the pool has what it was asked for. */
export function isSettled(
  pool: NodePool,
  result: PoolResult | undefined,
  instances: readonly PoolInstance[],
): boolean {
  if (!result || !('group' in result) || isLeaving(pool)) return false
  return (
    result.group.isStable &&
    instances.length === pool.spec.nodeCount &&
    instances.every(({ status }) => status === 'RUNNING')
  )
}

function poolEvents(pool: NodePool, result: PoolResult | undefined): EventDraft[] {
  const message = messageOf(result)
  if (!message) return []
  return [
    {
      about: pool,
      type: 'Warning',
      reason: 'SyncNodePoolFailed',
      message: `Error syncing node pool: ${message}`,
      source: 'node-pool-controller',
    },
  ]
}

function serviceOutcome(key: Key, service: Service, observed: Observed): Outcome {
  const result = observed.balancers.get(service.metadata.uid)
  if (!result) return IN_SYNC
  if ('isGone' in result) {
    // It may have become a LoadBalancer again meanwhile: then its finalizer is for the next one.
    if (wantsBalancer(service)) return IN_SYNC
    const without: Service = { ...service, status: { ...service.status, loadBalancer: {} } }
    return {
      writes: [finalized(key, without, LOAD_BALANCER_FINALIZER)],
      events: [say(service, 'Normal', 'DeletedLoadBalancer', 'Deleted load balancer')],
    }
  }
  if ('error' in result) {
    const what = wantsBalancer(service) ? 'ensure' : 'delete'
    const message = `Error syncing load balancer: failed to ${what} load balancer: ${result.error}`
    return { writes: [], events: [say(service, 'Warning', 'SyncLoadBalancerFailed', message)] }
  }
  if (!wantsBalancer(service)) return IN_SYNC
  const loadBalancer = { ingress: [{ ip: result.address, ipMode: 'VIP' }] }
  if (isEqual(service.status?.loadBalancer, loadBalancer)) return IN_SYNC
  const object: Service = { ...service, status: { ...service.status, loadBalancer } }
  return {
    writes: [{ do: 'put', object }],
    events: [say(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer')],
  }
}

/** The object without our finalizer: removed when it was waiting for that alone. */
function finalized(key: Key, object: KubeObject, finalizer: string): PlannedWrite {
  const { finalizers: all = [], ...rest } = object.metadata
  const finalizers = all.filter((one) => one !== finalizer)
  if (rest.deletionTimestamp && finalizers.length === 0) return { do: 'remove', key }
  if (finalizers.length > 0) return { do: 'put', object: withMeta(object, { finalizers }) }
  return { do: 'put', object: { ...object, metadata: rest } }
}

function say(
  about: Service,
  type: EventDraft['type'],
  reason: string,
  message: string,
): EventDraft {
  return { about, type, reason, message, source: 'service-controller' }
}
