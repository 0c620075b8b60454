// The sweep function, once a minute: whatever a lost message should have said is said again. One query
// sees all clusters that changed; one document remembers what was passed on, what is due, and how the VMs were.
// An idle minute costs one read (two after a start from nothing) and writes nothing.

import { randomUUID } from 'node:crypto'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { splitKey } from '#shared/key.ts'
import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Store } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import type { VmLook } from '#shared/ports/vm-look.ts'
import { isReason } from '#shared/status.ts'
import type { LiveViews } from '../cluster/live-view.ts'
import { look } from './look.ts'
import { dueAt, isSweepState, newsFor, newState, STATE_KEY, SWEEP, versionOf } from './state.ts'
import type { ClusterState, SweepState } from './state.ts'
import { newsSince, visit } from './visit.ts'
import type { VisitOptions } from './visit.ts'

export interface SweepDeps {
  store: Store
  views: LiveViews
  bus: Bus
  timers: Timers
  /** What Compute Engine says. */
  vms: VmLook
  clock: Clock
  log: Log
  newId?: () => string
  options?: Partial<VisitOptions>
}

export interface Sweep {
  run(): Promise<void>
}

/** A server timestamp may be older than the moment at which its commit can be seen. */
const OVERLAP_MS = 10_000
const DEFAULTS: VisitOptions = { checkpointEvery: 100, retentionMs: 3_600_000 }
const ATTEMPTS_MAX = 3
/** A cluster that was quiet for so long, has no VMs and waits for nothing may be gone: it is forgotten. */
const QUIET_MS = 7 * 86_400_000
/** So many of the sweep's own revisions are removed at a time; nobody reads them. */
const OWN_LOG_MAX = 100

/** What one instance knows from its last minute; saves reading it again. */
interface Memory {
  state: SweepState
  isStored: boolean
  /** Everything before this was seen by this instance. */
  sinceMs: number
}

export function createSweep(deps: SweepDeps): Sweep {
  const newId = deps.newId ?? (() => `sweep-${randomUUID()}`)
  let memory: Memory | undefined
  return {
    async run() {
      for (let attempt = 1; ; attempt++) {
        const last = memory ?? (await recall(deps))
        memory = undefined
        try {
          memory = await sweepOnce(deps, last, newId)
          return
        } catch (error) {
          // Another sweep was at it: what it has passed on need not be passed on again.
          if (!isLostRace(error) || attempt >= ATTEMPTS_MAX) throw error
        }
      }
    },
  }
}

async function recall({ store, clock }: SweepDeps): Promise<Memory> {
  const stored = await store.get(SWEEP, STATE_KEY)
  const isStored = isSweepState(stored)
  const state = isStored ? stored : newState(clock.now(), DEFAULTS.retentionMs)
  return { state, isStored, sinceMs: state.watermarkMs }
}

async function sweepOnce(deps: SweepDeps, last: Memory, newId: () => string): Promise<Memory> {
  const { store, clock } = deps
  const now = clock.now()
  const news = newsFor(last.state, await store.changedSince(last.sinceMs - OVERLAP_MS))
  const changes = new Map(news.map((change) => [change.cluster, change]))
  const clusters = new Set([...changes.keys(), ...dueAt(last.state, now)])
  const options = { ...DEFAULTS, ...deps.options }
  const next = { ...last.state.clusters }
  let hasFailed = false
  for (const cluster of clusters) {
    try {
      const state = await visit(deps, options, cluster, next[cluster], changes.get(cluster))
      if (state) next[cluster] = state
      else delete next[cluster]
    } catch (error) {
      hasFailed = true
      deps.log.warn('a cluster is left to the next sweep', { cluster, error })
    }
  }
  if (changes.has(FLEET)) {
    for (const gone of await endedClusters(deps, last.state)) delete next[gone]
  }
  // Last: nothing that must be said again waits for Compute Engine.
  const seen = await look(deps, last.state.clusters)
  if (clusters.size === 0 && seen.size === 0) return { ...last, sinceMs: now }
  const state: SweepState = {
    ...last.state,
    // What failed is found again by its time.
    watermarkMs: hasFailed ? last.state.watermarkMs : now,
    clusters: withoutQuiet(withVms(next, seen), versionOf(now - QUIET_MS)),
  }
  return keep(deps, { state, isStored: last.isStored, sinceMs: state.watermarkMs }, newId())
}

/** Those whose records have left the fleet since it was last looked at: nothing of them is kept. */
async function endedClusters({ views }: SweepDeps, state: SweepState): Promise<string[]> {
  const news = await newsSince(await views.open(FLEET), state.clusters[FLEET]?.version)
  const changes = news?.flatMap((revision) => revision.changes) ?? []
  return changes
    .filter(({ key, after }) => !after && splitKey(key).resource === CLUSTERS)
    .map(({ key }) => splitKey(key).name)
}

/** Stores the state and forgets the sweep's own log, which is of no use to anybody. */
async function keep(deps: SweepDeps, memory: Memory, id: string): Promise<Memory> {
  const { state, isStored, sinceMs } = memory
  const expect = isStored ? (state.metadata.resourceVersion ?? null) : null
  const revision = await deps.store.commit(SWEEP, {
    id,
    cause: { actor: 'function:sweep', verb: 'update' },
    writes: [{ key: STATE_KEY, object: state, expect }],
  })
  await deps.store.trim(SWEEP, revision.version, OWN_LOG_MAX)
  const resourceVersion = revision.version
  return {
    state: { ...state, metadata: { ...state.metadata, resourceVersion } },
    isStored: true,
    sinceMs,
  }
}

function withVms(
  clusters: Readonly<Record<string, ClusterState>>,
  seen: ReadonlyMap<string, string>,
): Record<string, ClusterState> {
  const entries = Object.entries(clusters).map(([cluster, state]): [string, ClusterState] => {
    const vms = seen.get(cluster)
    return [cluster, vms === undefined ? state : { ...state, vms }]
  })
  return Object.fromEntries(entries)
}

function withoutQuiet(
  clusters: Record<string, ClusterState>,
  oldest: string,
): Record<string, ClusterState> {
  const kept = Object.entries(clusters).filter(
    ([, { version, dueAtMs, vms }]) => version >= oldest || dueAtMs !== undefined || vms,
  )
  return Object.fromEntries(kept)
}

function isLostRace(error: unknown): boolean {
  return isReason(error, 'Conflict') || isReason(error, 'AlreadyExists')
}
