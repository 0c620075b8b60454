// The cloud function: the second kind of reconciler. Desired state from the view, observed state from
// Compute Engine, idempotent calls, results written back as status. Each pass has three steps: write
// down what will be made, make it, write down what is there; a crash between any two is healed by
// running again.

import { randomBytes, randomUUID } from 'node:crypto'
import type { Bus } from '#shared/ports/bus.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Compute } from '#shared/ports/compute.ts'
import type { Disks } from '#shared/ports/disks.ts'
import type { HttpBalancers } from '#shared/ports/http-balancers.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Store } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import { reconcileToFixpoint } from '#shared/reconcile/engine.ts'
import type { Reconciler } from '#shared/reconcile/outcome.ts'
import { isReason } from '#shared/status.ts'
import type { Key } from '#shared/key.ts'
import type { Reader } from '#shared/view/reader.ts'
import { continueTeardown, isLeaving as isClusterLeaving } from '../clusters/teardown.ts'
import type { LiveView, LiveViews } from '../cluster/live-view.ts'
import { readClusterFacts, type CloudConfig } from './config.ts'
import { driveDisks, type DiskResults } from './disks/drive.ts'
import { diskIntents, diskOutcomes, diskResultKeys } from './disks/results.ts'
import { claimKeys } from './disks/wishes.ts'
import { drive, type Memo } from './drive.ts'
import { cloudKeys, intents } from './intents.ts'
import { driveEntry, entryKeys, needsEntry, newEntryMemo, type EntryMemo } from './ingresses.ts'
import { isSettled, results, type Observed } from './observed.ts'
import { nodePools } from './wishes.ts'

export type { CloudConfig } from './config.ts'

export interface CloudDeps {
  store: Store
  views: LiveViews
  compute: Compute
  disks: Disks
  httpBalancers: HttpBalancers
  bus: Bus
  timers: Timers
  clock: Clock
  log: Log
  config: CloudConfig
  /** Unique ids for commits; for simulations that must repeat themselves. */
  newId?: () => string
}

export interface Cloud {
  /**
   * Brings what the cluster has on Google Cloud closer to what it wants, and asks to be woken while
   * that is not done. Passes over one cluster run one after the other; calls that come during one
   * share the one that follows. Rejects only when the store is away.
   */
  handle(cluster: string): Promise<void>
}

/** Passes of one kind over a cluster: one at a time, those asked for meanwhile share the next. */
interface Lane {
  /** Passes in a row after which something had failed, or was not done yet. */
  failures: number
  waits: number
  running?: Promise<void> | undefined
  next?: Promise<void> | undefined
}

/**
 * What one instance of the function knows of a cluster between calls. Pods that leave wait for the HTTP balancer: it
 * has passes of its own, which wait for nothing else.
 */
interface Known {
  memo: Memo
  entryMemo: EntryMemo
  hasEntry: boolean
  rest: Lane
  entry: Lane
  end: Lane
}

const CONFLICTS_MAX = 8
const DISK_ROUNDS_MAX = 4
const RETRY_MIN_MS = 5000
const RETRY_MAX_MS = 300_000
const WAIT_MIN_MS = 1000
const WAIT_MAX_MS = 30_000

export function createCloud(deps: CloudDeps): Cloud {
  const clusters = new Map<string, Known>()
  return {
    async handle(cluster) {
      const known = clusters.get(cluster) ?? newKnown()
      clusters.set(cluster, known)
      const rest = inLane(known.rest, () => pass(deps, cluster, known))
      const entry = known.hasEntry ? handleEntry(deps, cluster, known) : undefined
      await Promise.all([rest, entry])
      const live = await deps.views.open(cluster)
      if (isClusterLeaving(live.current)) {
        await inLane(known.end, async () => void (await continueTeardown(deps, cluster)))
      }
    },
  }
}

function newKnown(): Known {
  const lane = (): Lane => ({ failures: 0, waits: 0 })
  return {
    memo: { granted: new Map() },
    entryMemo: newEntryMemo(),
    hasEntry: false,
    rest: lane(),
    entry: lane(),
    end: lane(),
  }
}

function inLane(lane: Lane, work: () => Promise<void>): Promise<void> {
  const start = (): Promise<void> => {
    lane.running = work().finally(() => (lane.running = undefined))
    return lane.running
  }
  if (!lane.running) return start()
  lane.next ??= lane.running
    .catch(() => undefined)
    .then(() => {
      lane.next = undefined
      return start()
    })
  return lane.next
}

/** Node pools, load balancers of Services, disks. */
async function pass(deps: CloudDeps, cluster: string, known: Known): Promise<void> {
  const { views, config } = deps
  const live = await views.open(cluster)
  const facts = await readClusterFacts(views, config, cluster)
  const newToken = config.newToken ?? (() => randomBytes(32).toString('base64url'))
  const hasWritten = await commit(deps, live, [
    { reconciler: intents(facts, newToken), keys: cloudKeys },
    { reconciler: diskIntents(facts, config.pubsubProject), keys: claimKeys },
  ])
  const reader = live.current
  // The first Ingress of all: from now on each wake-up sees to it at once.
  const isFirst = !known.hasEntry && needsEntry(reader, known.entryMemo)
  known.hasEntry ||= isFirst
  const entry = isFirst ? handleEntry(deps, cluster, known) : undefined
  const rest = async (): Promise<void> => {
    const observed = await drive(deps, reader, facts, known.memo)
    let disks = await driveDisks(deps, reader, facts)
    let hasLearnt = await commit(deps, live, [
      { reconciler: results(observed, config), keys: cloudKeys },
      outcomesOf(disks),
    ])
    // What was done makes room for more: a disk that was taken off can be deleted.
    for (let round = 1; round < DISK_ROUNDS_MAX && hasProgress(disks); round++) {
      disks = await driveDisks(deps, live.current, facts)
      hasLearnt = (await commit(deps, live, [outcomesOf(disks)])) || hasLearnt
    }
    if (hasWritten || hasLearnt) await tellReconcile(deps, cluster)
    await askForWakeUp(deps, live, known.rest, progressOf(live, observed, disks))
  }
  await Promise.all([rest(), entry])
}

/** The HTTP balancer of the Ingresses. */
function handleEntry(deps: CloudDeps, cluster: string, known: Known): Promise<void> {
  const { views, config } = deps
  return inLane(known.entry, async () => {
    const live = await views.open(cluster)
    const facts = await readClusterFacts(views, config, cluster)
    const hasWritten = await commit(deps, live, [
      { reconciler: intents(facts, () => ''), keys: entryKeys },
    ])
    const entry = await driveEntry(deps, live.current, facts, known.entryMemo)
    const observed = { ...NOTHING_OBSERVED, entry }
    const hasLearnt = await commit(deps, live, [
      { reconciler: results(observed, config), keys: entryKeys },
    ])
    if (hasWritten || hasLearnt) await tellReconcile(deps, cluster)
    known.hasEntry = needsEntry(live.current, known.entryMemo)
    const hasFailed = entry !== undefined && ('error' in entry || 'endpointError' in entry)
    await askForWakeUp(deps, live, known.entry, { hasFailed, isQuiet: true })
  })
}

const NOTHING_OBSERVED: Observed = {
  pools: new Map(),
  balancers: new Map(),
  entry: undefined,
  instances: undefined,
}

interface Part {
  reconciler: Reconciler
  keys: (reader: Reader) => Key[]
}

function outcomesOf(disks: DiskResults): Part {
  return { reconciler: diskOutcomes(disks), keys: (reader) => diskResultKeys(reader, disks) }
}

function hasProgress(disks: DiskResults): boolean {
  return [...disks.values()].some(({ is }) => is !== 'failed')
}

/** Computes and commits until a commit is not refused. True when there was something to write. */
async function commit(deps: CloudDeps, live: LiveView, parts: readonly Part[]): Promise<boolean> {
  for (let conflicts = 0; ; conflicts++) {
    const reader = await live.catchUp()
    const { writes, decisions, faults } = reconcileToFixpoint({
      reader,
      work: parts.flatMap(({ reconciler, keys }) =>
        keys(reader).map((key) => ({ reconciler: reconciler.name, key })),
      ),
      now: deps.clock.now(),
      reconcilers: parts.map(({ reconciler }) => reconciler),
    })
    for (const { message, error } of faults) {
      deps.log.error(message, { cluster: live.cluster, error })
    }
    if (writes.length === 0) return false
    try {
      await live.commit({
        id: (deps.newId ?? randomUUID)(),
        cause: {
          actor: 'function:cloud',
          verb: 'reconcile',
          detail: parts[0]?.reconciler.name ?? '',
        },
        writes,
        decisions,
      })
      return true
    } catch (error) {
      if (!isLostRace(error) || conflicts >= CONFLICTS_MAX) throw error
    }
  }
}

/** The store's word that a version has moved: nothing was applied. */
function isLostRace(error: unknown): boolean {
  return (
    isReason(error, 'Conflict') || isReason(error, 'AlreadyExists') || isReason(error, 'NotFound')
  )
}

async function tellReconcile({ bus, log }: CloudDeps, cluster: string): Promise<void> {
  try {
    await bus.publish(TOPICS.changes, { attributes: { cluster }, data: '{}', orderingKey: cluster })
  } catch (error) {
    // The sweep finds the commit.
    log.warn('a wake-up could not be published', { cluster, error })
  }
}

interface Progress {
  hasFailed: boolean
  /** Nothing is under way. */
  isQuiet: boolean
}

function progressOf(live: LiveView, observed: Observed, disks: DiskResults): Progress {
  const all = [...observed.pools.values(), ...observed.balancers.values()]
  const hasFailed =
    observed.instances === undefined ||
    all.some((one) => 'error' in one) ||
    [...disks.values()].some(({ is }) => is === 'failed')
  const isDone = nodePools(live.current).every((pool) =>
    isSettled(
      pool,
      observed.pools.get(pool.metadata.uid),
      observed.instances?.get(pool.metadata.name) ?? [],
    ),
  )
  // While a VM is unwell it is watched: the entry that says it is well again may be lost.
  const isWell = [...(observed.instances?.values() ?? [])]
    .flat()
    .every(({ isHealthy }) => isHealthy !== false)
  return { hasFailed, isQuiet: isDone && isWell }
}

/** While something failed or is not done yet; ever later, so that a quota does not cost a fortune. */
async function askForWakeUp(
  { timers, clock, log }: CloudDeps,
  live: LiveView,
  lane: Lane,
  { hasFailed, isQuiet }: Progress,
): Promise<void> {
  lane.failures = hasFailed ? lane.failures + 1 : 0
  lane.waits = !hasFailed && !isQuiet ? lane.waits + 1 : 0
  if (!hasFailed && isQuiet) return
  const delay = hasFailed
    ? Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (lane.failures - 1))
    : Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** (lane.waits - 1))
  try {
    await timers.wake(live.cluster, clock.now() + delay, TOPICS.cloud)
  } catch (error) {
    log.warn('asking for a wake-up failed', { cluster: live.cluster, error })
  }
}
