// What Compute Engine answered in one pass, and what that means for the objects: their status, their
// finalizers, their Events. Pure.

import {
  LOAD_BALANCER_FINALIZER,
  NODE_POOL_FINALIZER,
  type NodePool,
  type NodePoolStatus,
  type PoolInstance,
} from '#shared/api/node-pool.ts'
import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Service } from '#shared/api/service.ts'
import { isEqual } from '#shared/equal.ts'
import { splitKey, type Key } from '#shared/key.ts'
import type { InstanceGroup } from '#shared/ports/compute.ts'
import {
  IN_SYNC,
  type EventDraft,
  type Outcome,
  type Reconciler,
} from '#shared/reconcile/outcome.ts'
import type { CloudConfig } from './config.ts'
import { finalized } from './finalized.ts'
import { ingressOutcome, markOutcome, podOutcome } from './ingress-results.ts'
import type { EntryResult } from './ingresses.ts'
import { isLeaving, NODE_POOLS, wantsBalancer } from './wishes.ts'

/** One thing on Google Cloud after this pass. */
export type PoolResult = { group: InstanceGroup } | { isGone: true } | { error: string }
export type BalancerResult = { address: string } | { isGone: true } | { error: string }

export interface Observed {
  /** By uid: a result is about one incarnation of the object. */
  pools: Map<string, PoolResult>
  balancers: Map<string, BalancerResult>
  /** The HTTP balancer; undefined: there is none and none is wanted. */
  entry: EntryResult | undefined
  /** By pool; undefined when they could not be listed: then nothing is known to be gone. */
  instances: Map<string, PoolInstance[]> | undefined
}

export function results(observed: Observed, { propagationSeconds }: CloudConfig): Reconciler {
  return {
    name: 'cloud-results',
    wakes: () => [],
    reconcile(reader, key, now) {
      const object = reader.get(key)
      if (!object) return IN_SYNC
      switch (splitKey(key).resource) {
        case NODE_POOLS:
          return poolOutcome(key, object as NodePool, observed)
        case INGRESSES:
          return ingressOutcome(reader, key, object as Ingress, observed.entry)
        case 'namespaces':
          return markOutcome(reader, observed.entry)
        case 'pods':
          return podOutcome(object as Pod, observed.entry, now, propagationSeconds)
        default:
          return serviceOutcome(key, object as Service, observed)
      }
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

function say(
  about: Service,
  type: EventDraft['type'],
  reason: string,
  message: string,
): EventDraft {
  return { about, type, reason, message, source: 'service-controller' }
}
