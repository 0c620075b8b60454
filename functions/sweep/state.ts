// What the sweep remembers between minutes: one document in a key prefix of its own.

import type { KubeObject } from '#shared/api/meta.ts'
import { derivedUid } from '#shared/hash.ts'
import { keyOf } from '#shared/key.ts'
import type { ClusterChange, Version } from '#shared/ports/store.ts'
import { formatTime } from '#shared/time.ts'

/** The key prefix of the sweep's own document; never a cluster. */
export const SWEEP = 'wherry-sweep'
export const STATE_KEY = keyOf('sweeps.wherry.dev', '', 'state')

export interface ClusterState {
  /** The newest version whose change was passed on. */
  version: Version
  /** How many revisions there were since the last checkpoint. */
  revisions: number
  /** When somebody must look at it even if nothing changes. */
  dueAtMs?: number
  /** It is being deleted: looked after until nothing is left. */
  isLeaving?: boolean
  /** What its VMs were at the last look (look.ts); empty or absent: there was none. */
  vms?: string
}

export interface SweepState extends KubeObject {
  /** Everything before this was seen. */
  watermarkMs: number
  clusters: Record<string, ClusterState>
}

/** The state of a sweep that has never run: it looks back for `lookBackMs`. */
export function newState(now: number, lookBackMs: number): SweepState {
  return {
    apiVersion: 'wherry.dev/v1',
    kind: 'SweepState',
    metadata: { name: 'state', uid: derivedUid('sweep'), creationTimestamp: formatTime(now) },
    watermarkMs: now - lookBackMs,
    clusters: {},
  }
}

export function isSweepState(object: KubeObject | undefined): object is SweepState {
  return object?.kind === 'SweepState' && 'clusters' in object
}

/** Clusters that changed since their change was last passed on. */
export function newsFor(state: SweepState, changed: readonly ClusterChange[]): ClusterChange[] {
  return changed.filter(
    ({ cluster, version }) =>
      cluster !== SWEEP && version > (state.clusters[cluster]?.version ?? ''),
  )
}

/** Clusters that somebody must look at by now. */
export function dueAt(state: SweepState, now: number): string[] {
  return Object.entries(state.clusters).flatMap(([cluster, { dueAtMs }]) =>
    dueAtMs !== undefined && dueAtMs <= now ? [cluster] : [],
  )
}

/** Milliseconds as a version: microseconds, 16 digits. */
export function versionOf(ms: number): Version {
  return String(Math.max(0, ms) * 1000).padStart(16, '0')
}
