// The sweep function, once a minute: whatever a lost message should have said is said again. One query
// sees all clusters that changed; one document remembers what was passed on and what is due. An idle
// minute costs two reads and writes nothing.

import { randomUUID } from 'node:crypto'
import type { KubeObject } from '#shared/api/meta.ts'
import { derivedUid } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import { TOPICS, type Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { ClusterChange, Store, Version } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import { isReason } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import type { LiveViews } from '../cluster/live-view.ts'

export interface SweepDeps {
  store: Store
  views: LiveViews
  bus: Bus
  timers: Timers
  clock: Clock
  log: Log
  newId?: () => string
}

export interface Sweep {
  run(): Promise<void>
}

/** The key prefix of the sweep's own document; never a cluster. */
export const SWEEP = 'wherry-sweep'
const STATE_KEY = keyOf('sweeps.wherry.dev', '', 'state')

/** A server timestamp may be older than the moment at which its commit can be seen. */
const OVERLAP_MS = 10_000
/** Active clusters get a checkpoint this often; the log behind it is kept for the retention. */
const CHECKPOINT_EVERY_MS = 300_000
const RETENTION_MS = 3_600_000
const TRIM_LIMIT = 500
const ATTEMPTS_MAX = 3

interface ClusterState {
  /** The newest version whose change was passed on. */
  version: Version
  checkpointAtMs: number
  dueAtMs?: number
}

interface SweepState extends KubeObject {
  watermarkMs: number
  clusters: Record<string, ClusterState>
}

export function createSweep(deps: SweepDeps): Sweep {
  const newId = deps.newId ?? (() => `sweep-${randomUUID()}`)
  return {
    async run() {
      for (let attempt = 1; ; attempt++) {
        try {
          return await sweepOnce(deps, newId())
        } catch (error) {
          // Another sweep was at it: what it has passed on need not be passed on again.
          if (!isLostRace(error) || attempt >= ATTEMPTS_MAX) throw error
        }
      }
    },
  }
}

async function sweepOnce(deps: SweepDeps, id: string): Promise<void> {
  const { store, clock } = deps
  const stored = await store.get(SWEEP, STATE_KEY)
  const state = isSweepState(stored) ? stored : newState(clock.now())
  const now = clock.now()
  const changed = await store.changedSince(state.watermarkMs - OVERLAP_MS)
  const news = changed.filter(
    ({ cluster, version }) =>
      cluster !== SWEEP && version > (state.clusters[cluster]?.version ?? ''),
  )
  const due = Object.entries(state.clusters).filter(
    ([, { dueAtMs }]) => dueAtMs !== undefined && dueAtMs <= now,
  )
  if (news.length === 0 && due.length === 0) return
  const clusters = new Set([
    ...news.map(({ cluster }) => cluster),
    ...due.map(([cluster]) => cluster),
  ])
  await Promise.all([...clusters].map((cluster) => wake(deps.bus, cluster)))
  const next = nextState(
    state,
    news,
    due.map(([cluster]) => cluster),
    now,
  )
  await keepHouse(deps, next, news, now)
  await store.commit(SWEEP, {
    id,
    cause: { actor: 'function:sweep', verb: 'update' },
    writes: [{ key: STATE_KEY, object: next, expect: stored?.metadata.resourceVersion ?? null }],
  })
  // The sweep's own log is of no use to anybody.
  await store.trim(SWEEP, versionOf(now - OVERLAP_MS * 6), TRIM_LIMIT)
}

function wake(bus: Bus, cluster: string): Promise<void> {
  return bus.publish(TOPICS.changes, { attributes: { cluster }, data: '{}', orderingKey: cluster })
}

function nextState(
  state: SweepState,
  news: readonly ClusterChange[],
  due: readonly string[],
  now: number,
): SweepState {
  const clusters = structuredClone(state.clusters)
  for (const cluster of due) delete clusters[cluster]?.dueAtMs
  for (const { cluster, version, requeueAtMs } of news) {
    const { checkpointAtMs = now } = clusters[cluster] ?? {}
    clusters[cluster] = {
      version,
      checkpointAtMs,
      ...(requeueAtMs === undefined ? {} : { dueAtMs: requeueAtMs }),
    }
  }
  // A cluster whose log has aged out and that waits for nothing is quiet or gone.
  const oldest = versionOf(now - RETENTION_MS)
  for (const [cluster, { version, dueAtMs }] of Object.entries(clusters)) {
    if (version < oldest && dueAtMs === undefined) delete clusters[cluster]
  }
  return { ...state, watermarkMs: now, clusters }
}

/** Only for clusters that changed: the quiet ones have nothing new to keep or to forget. */
async function keepHouse(
  deps: SweepDeps,
  state: SweepState,
  news: readonly ClusterChange[],
  now: number,
): Promise<void> {
  for (const { cluster } of news) {
    const entry = state.clusters[cluster]
    if (!entry || now - entry.checkpointAtMs < CHECKPOINT_EVERY_MS) continue
    try {
      await deps.views.checkpoint(cluster)
      await deps.store.trim(cluster, versionOf(now - RETENTION_MS), TRIM_LIMIT)
      entry.checkpointAtMs = now
    } catch (error) {
      deps.log.warn('no checkpoint this time', { cluster, error })
    }
  }
}

function newState(now: number): SweepState {
  return {
    apiVersion: 'wherry.dev/v1',
    kind: 'SweepState',
    metadata: { name: 'state', uid: derivedUid('sweep'), creationTimestamp: formatTime(now) },
    watermarkMs: now - RETENTION_MS,
    clusters: {},
  }
}

/** Milliseconds as a version: microseconds, 16 digits. */
function versionOf(ms: number): Version {
  return String(Math.max(0, ms) * 1000).padStart(16, '0')
}

function isSweepState(object: KubeObject | undefined): object is SweepState {
  return object?.kind === 'SweepState' && 'clusters' in object
}

function isLostRace(error: unknown): boolean {
  return isReason(error, 'Conflict') || isReason(error, 'AlreadyExists')
}
