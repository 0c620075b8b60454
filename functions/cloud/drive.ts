// One pass over Google Cloud: everything that the cluster wants is asked for, everything that it no
// longer wants is taken away, and what is there is listed. Each call is idempotent; a failure of one
// does not stop the others.

import type { NodePool, PoolInstance } from '#shared/api/node-pool.ts'
import type { Service } from '#shared/api/service.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Compute, Instance, LoadBalancerSpec } from '#shared/ports/compute.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { CloudConfig, ClusterFacts } from './config.ts'
import { balancerName } from './names.ts'
import { isSettled, type BalancerResult, type Observed, type PoolResult } from './observed.ts'
import { instanceToRepair } from './repair.ts'
import {
  balancedServices,
  balancerSpec,
  CLUSTER_LABEL,
  groupSpec,
  holdsBalancer,
  holdsGroup,
  isLeaving,
  nodePools,
  POOL_LABEL,
  wantsBalancer,
} from './wishes.ts'

interface Deps {
  compute: Compute
  clock: Clock
  log: Log
  config: CloudConfig
}

/** What was asked for and granted, so that it is not asked for again at each wake-up. */
export interface Memo {
  /** By name of the group or load balancer: the wish as a text, its answer, and until when it counts. */
  granted: Map<string, { wish: string; until: number; result: PoolResult | BalancerResult }>
}

/** After this everything is asked for anew: somebody may have changed it by hand. */
const MEMO_MS = 300_000

export async function drive(
  deps: Deps,
  reader: Reader,
  facts: ClusterFacts,
  memo: Memo,
): Promise<Observed> {
  const pools = new Map<string, PoolResult>()
  const balancers = new Map<string, BalancerResult>()
  const all = nodePools(reader)
  const staying = all.filter((pool) => !isLeaving(pool))
  await Promise.all(
    staying.map(async (pool) => {
      const result = await applyPool(deps, reader, pool, facts, memo)
      if (result) pools.set(pool.metadata.uid, result)
    }),
  )
  // Load balancers let go of a group before it is deleted, and can only be given groups that exist.
  const groups = staying.flatMap((pool) => groupOf(pool, pools.get(pool.metadata.uid)))
  for (const service of balancedServices(reader)) {
    const result = await syncBalancer(deps, service, groups, facts, memo)
    if (result) balancers.set(service.metadata.uid, result)
  }
  for (const pool of all.filter(isLeaving)) {
    pools.set(pool.metadata.uid, await deletePool(deps, pool, memo))
  }
  const instances = all.length > 0 ? await listInstances(deps, facts, all) : new Map()
  if (instances) await repair(deps, reader, staying, instances)
  const observed = { pools, balancers, instances, entry: undefined }
  forgetUnsettled(staying, observed, memo)
  return observed
}

async function applyPool(
  deps: Deps,
  reader: Reader,
  pool: NodePool,
  facts: ClusterFacts,
  memo: Memo,
): Promise<PoolResult | undefined> {
  const spec = groupSpec(reader, pool, facts, deps.config)
  if (!spec) return undefined
  if (typeof spec === 'string') return { error: spec }
  const known = recall(deps, memo, spec.name, spec)
  if (known && 'group' in known) return known
  try {
    const result = { group: await deps.compute.applyInstanceGroup(spec) }
    remember(deps, memo, spec.name, spec, result)
    return result
  } catch (error) {
    return { error: failed(deps, 'the node pool could not be applied', spec.name, error) }
  }
}

async function deletePool(deps: Deps, pool: NodePool, memo: Memo): Promise<PoolResult> {
  const group = pool.status?.instanceGroup
  // The name is written down before the group is made: without one there is none.
  if (!group || !holdsGroup(pool)) return { isGone: true }
  memo.granted.delete(group)
  try {
    await deps.compute.deleteInstanceGroup(group, pool.spec.zone)
    return { isGone: true }
  } catch (error) {
    return { error: failed(deps, 'the node pool could not be deleted', group, error) }
  }
}

/** A pool whose last call failed keeps its place behind load balancers if it ever had VMs. */
function groupOf(pool: NodePool, result: PoolResult | undefined): LoadBalancerSpec['groups'] {
  const name = pool.status?.instanceGroup
  const isThere =
    (result !== undefined && 'group' in result) || (pool.status?.instances?.length ?? 0) > 0
  return name && isThere ? [{ name, zone: pool.spec.zone }] : []
}

async function syncBalancer(
  deps: Deps,
  service: Service,
  groups: LoadBalancerSpec['groups'],
  facts: ClusterFacts,
  memo: Memo,
): Promise<BalancerResult | undefined> {
  const name = balancerName(facts.id, service.metadata.uid)
  if (!holdsBalancer(service)) return undefined
  if (!wantsBalancer(service)) {
    memo.granted.delete(name)
    try {
      await deps.compute.deleteLoadBalancer(name, facts.region)
      return { isGone: true }
    } catch (error) {
      return { error: failed(deps, 'the load balancer could not be deleted', name, error) }
    }
  }
  const spec = balancerSpec(service, groups, facts, deps.config)
  if (typeof spec === 'string') return { error: spec }
  const known = recall(deps, memo, name, spec)
  if (known && 'address' in known) return known
  try {
    const result = { address: (await deps.compute.applyLoadBalancer(spec)).address }
    remember(deps, memo, name, spec, result)
    return result
  } catch (error) {
    return { error: failed(deps, 'the load balancer could not be applied', name, error) }
  }
}

async function listInstances(
  deps: Deps,
  facts: ClusterFacts,
  pools: readonly NodePool[],
): Promise<Map<string, PoolInstance[]> | undefined> {
  try {
    const byPool = new Map<string, PoolInstance[]>()
    for (const instance of await confirmedInstances(deps, facts, pools)) {
      const pool = instance.labels[POOL_LABEL] ?? ''
      byPool.set(pool, [...(byPool.get(pool) ?? []), poolInstance(instance)])
    }
    return byPool
  } catch (error) {
    failed(deps, 'VMs could not be listed', facts.id, error)
    return undefined
  }
}

/**
 * Pods are moved because of what a health check says, so it is asked twice, one interval apart: a VM
 * that only flaps keeps the health that it had.
 */
async function confirmedInstances(
  { compute, clock, config, log }: Deps,
  facts: ClusterFacts,
  pools: readonly NodePool[],
): Promise<Instance[]> {
  const labels = { [CLUSTER_LABEL]: facts.id }
  const first = await compute.listInstances(labels)
  const known = new Map(
    pools.flatMap(({ status }) => status?.instances ?? []).map((vm) => [vm.id, vm.isHealthy]),
  )
  const turned = new Map(
    first
      .filter(({ id, isHealthy }) => hasTurned(known.get(id), isHealthy))
      .map(({ id, isHealthy }) => [id, isHealthy]),
  )
  if (turned.size === 0) return first
  await clock.sleep(config.healthCheckIntervalSeconds * 1000)
  const second = await compute.listInstances(labels)
  return second.map((instance) => {
    const { id, name, isHealthy } = instance
    // What turned only now is looked at twice the next time.
    const isNews = hasTurned(known.get(id), isHealthy)
    if (!isNews || turned.get(id) === isHealthy) return instance
    log.info('the health of a VM is not believed yet', { name, isHealthy })
    return withHealth(instance, known.get(id))
  })
}

/** Well or unwell, and it was not so before. A new VM that is well needs no second look. */
function hasTurned(before: boolean | undefined, now: boolean | undefined): boolean {
  return now === undefined || now === before ? false : !(now && before === undefined)
}

function withHealth(instance: Instance, isHealthy: boolean | undefined): Instance {
  const { isHealthy: _, ...rest } = instance
  return isHealthy === undefined ? rest : { ...rest, isHealthy }
}

async function repair(
  deps: Deps,
  reader: Reader,
  pools: readonly NodePool[],
  instances: ReadonlyMap<string, PoolInstance[]>,
): Promise<void> {
  for (const { metadata, spec, status } of pools) {
    const lost = instanceToRepair(reader, instances.get(metadata.name) ?? [], deps.clock.now())
    if (!lost || !status?.instanceGroup) continue
    deps.log.warn('a VM is made anew: it has been unwell for too long', { name: lost.name })
    try {
      await deps.compute.deleteInstance(status.instanceGroup, spec.zone, lost.name, false)
    } catch (error) {
      failed(deps, 'a VM could not be made anew', lost.name, error)
    }
  }
}

function poolInstance(instance: Instance): PoolInstance {
  const { name, id, status, creationTimestamp, internalIp, externalIp, isHealthy } = instance
  return {
    name,
    id,
    status,
    creationTimestamp,
    ...(internalIp ? { internalIp } : {}),
    ...(externalIp ? { externalIp } : {}),
    ...(isHealthy === undefined ? {} : { isHealthy }),
  }
}

function recall(
  { clock }: Deps,
  { granted }: Memo,
  name: string,
  wish: unknown,
): PoolResult | BalancerResult | undefined {
  const entry = granted.get(name)
  const isValid = entry && entry.until > clock.now() && entry.wish === JSON.stringify(wish)
  return isValid ? entry.result : undefined
}

function remember(
  { clock }: Deps,
  { granted }: Memo,
  name: string,
  wish: unknown,
  result: PoolResult | BalancerResult,
): void {
  granted.set(name, { wish: JSON.stringify(wish), until: clock.now() + MEMO_MS, result })
}

/** A group that is not yet (or no longer) as it should be is asked about again the next time. */
function forgetUnsettled(pools: readonly NodePool[], observed: Observed, memo: Memo): void {
  for (const pool of pools) {
    const instances = observed.instances?.get(pool.metadata.name) ?? []
    if (isSettled(pool, observed.pools.get(pool.metadata.uid), instances)) continue
    memo.granted.delete(pool.status?.instanceGroup ?? '')
  }
}

/** Logs a failure and answers its text. */
function failed({ log }: Deps, what: string, name: string, error: unknown): string {
  log.warn(what, { name, error })
  return error instanceof Error ? error.message : String(error)
}
