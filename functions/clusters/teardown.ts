// The end of a cluster: first what it holds on Google Cloud (VM groups, load balancers, disks), then every
// document, then its record. Each step can be repeated; a crash between two is healed by the next call.

import { CLUSTERS, FLEET, LEAVING_ANNOTATION, type Cluster } from '#shared/api/cluster.ts'
import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { LOAD_BALANCER_FINALIZER } from '#shared/api/node-pool.ts'
import { holdsEntry } from '#shared/ingress/classes.ts'
import { isMarked } from '#shared/ingress/mark.ts'
import { keyOf } from '#shared/key.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { ownDisks } from '#shared/reconcile/volumes/relations.ts'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Store, Write } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveView, LiveViews } from '../cluster/live-view.ts'

export interface TeardownDeps {
  store: Store
  views: LiveViews
  bus: Bus
  clock: Clock
}

/** So that one call stays short; what is left is done by the next one. */
const TRIM_LIMIT = 400
const ATTEMPTS_MAX = 5

/** Marks the cluster as leaving and asks for its cloud resources to be taken away. */
export async function beginTeardown(deps: TeardownDeps, cluster: Cluster): Promise<void> {
  await markCluster(deps, cluster)
  await continueTeardown(deps, cluster.metadata.name)
}

/**
 * Goes on with every cluster that is leaving, or with one. Answers true when nothing of it is left.
 * Called by the cloud function after each of its commits and by the sweep.
 */
export async function continueTeardown(deps: TeardownDeps, id: string): Promise<boolean> {
  const fleet = await deps.views.open(FLEET)
  const record = (await fleet.catchUp()).get(keyOf(CLUSTERS, '', id))
  if (!record) return true
  if (!record.metadata.deletionTimestamp) return false

  const live = await deps.views.open(id)
  const reader = await live.catchUp()
  const holding = cloudHolders(reader)
  if (holding.length > 0 || isMarked(reader)) {
    await markLeaving(deps, live, holding)
    return false
  }
  while ((await deps.store.trim(id, undefined, TRIM_LIMIT)) > 0);
  await deps.views.forget(id)
  await removeRecord(deps, id)
  return true
}

const MARKED_NAMESPACE = keyOf('namespaces', '', 'kube-system')

/** True in the view of a cluster that is being deleted: costs no look at the fleet. */
export function isLeaving(reader: Reader): boolean {
  return reader.get(MARKED_NAMESPACE)?.metadata.annotations?.[LEAVING_ANNOTATION] !== undefined
}

/** Objects that stand for something on Google Cloud. */
function cloudHolders(reader: Reader): KubeObject[] {
  const balanced = reader
    .list('services')
    .filter((service) => service.metadata.finalizers?.includes(LOAD_BALANCER_FINALIZER))
  const routed = (reader.list(INGRESSES) as readonly Ingress[]).filter(holdsEntry)
  return [
    ...reader.list('nodepools.container.wherry.dev'),
    ...balanced,
    ...routed,
    ...ownDisks(reader),
  ]
}

async function markLeaving(
  deps: TeardownDeps,
  live: LiveView,
  holding: KubeObject[],
): Promise<void> {
  const now = formatTime(deps.clock.now())
  const writes: Write[] = holding
    .filter((object) => !object.metadata.deletionTimestamp)
    .map((object) => ({
      key: keyOfObject(object),
      object: { ...object, metadata: { ...object.metadata, deletionTimestamp: now } },
      expect: object.metadata.resourceVersion ?? null,
    }))
  const namespace = live.current.get(MARKED_NAMESPACE)
  if (namespace && !isLeaving(live.current)) {
    const annotations = { ...namespace.metadata.annotations, [LEAVING_ANNOTATION]: now }
    writes.push({
      key: MARKED_NAMESPACE,
      object: { ...namespace, metadata: { ...namespace.metadata, annotations } },
      expect: namespace.metadata.resourceVersion ?? null,
    })
  }
  if (writes.length > 0) {
    await live.commit({
      id: `teardown-${live.cluster}-${live.current.version}`,
      cause: { actor: 'function:clusters', verb: 'delete', detail: 'the cluster is being deleted' },
      writes,
    })
  }
  if (writes.length === 0) return
  const attributes = { cluster: live.cluster }
  await deps.bus.publish(TOPICS.cloud, { attributes, data: '{}', orderingKey: live.cluster })
}

async function markCluster(deps: TeardownDeps, cluster: Cluster): Promise<void> {
  await updateRecord(deps, cluster.metadata.name, (record) =>
    record.metadata.deletionTimestamp
      ? undefined
      : {
          ...record,
          metadata: { ...record.metadata, deletionTimestamp: formatTime(deps.clock.now()) },
        },
  )
}

async function removeRecord(deps: TeardownDeps, id: string): Promise<void> {
  await updateRecord(deps, id, () => null)
}

/** Changes the cluster's record; on a Conflict reads it again. `undefined`: leave it. */
async function updateRecord(
  deps: TeardownDeps,
  id: string,
  change: (record: KubeObject) => KubeObject | null | undefined,
): Promise<void> {
  const fleet = await deps.views.open(FLEET)
  const key = keyOf(CLUSTERS, '', id)
  for (let attempt = 1; ; attempt++) {
    const record = (await fleet.catchUp()).get(key)
    const object = record ? change(record) : undefined
    if (!record || object === undefined) return
    const expect = record.metadata.resourceVersion ?? null
    try {
      await fleet.commit({
        id: `cluster-${id}-${expect ?? 'none'}-${object ? 'mark' : 'remove'}`,
        cause: { actor: 'function:clusters', verb: object ? 'update' : 'delete' },
        writes: [{ key, object, expect }],
      })
      return
    } catch (error) {
      if (!isReason(error, 'Conflict') || attempt >= ATTEMPTS_MAX) throw error
    }
  }
}
