// What the sweep does for one cluster that changed or is due: everybody whom a change concerns is told
// once more, and its house is kept (checkpoint, old revisions, the end of a cluster that is leaving).

import { FLEET } from '#shared/api/cluster.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { ClusterChange, Revision, Version } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { continueTeardown, isLeaving } from '../clusters/teardown.ts'
import { allConcerns, concernsOf } from '../reconcile/concerns.ts'
import { tell } from '../reconcile/tell.ts'
import { versionOf } from './state.ts'
import type { ClusterState } from './state.ts'
import type { SweepDeps } from './sweep.ts'

const TRIM_LIMIT = 500
/** How soon a cluster that is being deleted is looked after again. */
const LEAVING_MS = 120_000

export interface VisitOptions {
  /** So many revisions make a checkpoint worth its cost: loading a cluster reads them one by one. */
  checkpointEvery: number
  retentionMs: number
}

/**
 * Answers the cluster's next state; undefined when it is gone. Rejects when somebody could not be
 * told: then the next minute does all of it again.
 */
export async function visit(
  deps: SweepDeps,
  options: VisitOptions,
  cluster: string,
  old: ClusterState | undefined,
  change: ClusterChange | undefined,
): Promise<ClusterState | undefined> {
  if (old?.isLeaving) return lookAfterLeaving(deps, cluster, old)
  if (cluster !== FLEET) await wakeReconcile(deps, cluster)
  if (!change) {
    const { dueAtMs: _, ...rest } = old ?? { version: '', revisions: 0 }
    return rest
  }
  const live = await deps.views.open(cluster)
  const news = await newsSince(live, old?.version)
  if (cluster !== FLEET) await tellAll(deps, live, news)
  if (cluster !== FLEET && isLeaving(live.current)) {
    return lookAfterLeaving(deps, cluster, { version: change.version, revisions: 0 })
  }
  const dueAtMs = change.requeueAtMs ?? old?.dueAtMs
  const unread = old ? options.checkpointEvery : 0
  const revisions = (old?.revisions ?? 0) + (news?.length ?? unread)
  return {
    version: change.version,
    revisions: await keepHouse(deps, options, cluster, revisions),
    ...(dueAtMs === undefined ? {} : { dueAtMs }),
    ...(old?.vms === undefined ? {} : { vms: old.vms }),
  }
}

/** Undefined when the log does not reach back that far, or nobody knows how far it was read. */
export async function newsSince(
  live: LiveView,
  since: Version | undefined,
): Promise<readonly Revision[] | undefined> {
  await live.catchUp()
  if (!since) return undefined
  try {
    return await live.history(since)
  } catch (error) {
    if (isReason(error, 'Expired')) return undefined
    throw error
  }
}

async function tellAll(
  deps: SweepDeps,
  live: LiveView,
  news: readonly Revision[] | undefined,
): Promise<void> {
  const reader = live.current
  const concerns = news ? concernsOf(news, reader) : allConcerns(reader)
  await tell(deps, live.cluster, concerns, reader)
  const isLeft = concerns.nodes.size > 0 || concerns.cloud || concerns.deploys
  if (isLeft) throw new Error('not everybody could be told')
}

function wakeReconcile({ bus }: SweepDeps, cluster: string): Promise<void> {
  return bus.publish(TOPICS.changes, { attributes: { cluster }, data: '{}', orderingKey: cluster })
}

async function lookAfterLeaving(
  deps: SweepDeps,
  cluster: string,
  state: ClusterState,
): Promise<ClusterState | undefined> {
  if (await continueTeardown(deps, cluster)) return undefined
  return { ...state, isLeaving: true, dueAtMs: deps.clock.now() + LEAVING_MS }
}

/** Answers how many revisions there are since the last checkpoint. */
async function keepHouse(
  deps: SweepDeps,
  { checkpointEvery, retentionMs }: VisitOptions,
  cluster: string,
  revisions: number,
): Promise<number> {
  if (revisions < checkpointEvery) return revisions
  try {
    await deps.views.checkpoint(cluster)
    // The checkpoint stands for everything up to now, so what is older than the retention may go.
    await deps.store.trim(cluster, versionOf(deps.clock.now() - retentionMs), TRIM_LIMIT)
    return 0
  } catch (error) {
    deps.log.warn('no checkpoint this time', { cluster, error })
    return revisions
  }
}
