// Finds the node for one pod: all filters, then the best score; or says why there is none.

import type { Pod } from '../api/pod.ts'
import { hostPorts } from './filters/host-ports.ts'
import { nodeAffinity } from './filters/node-affinity.ts'
import { podAffinity } from './filters/pod-affinity.ts'
import { resources } from './filters/resources.ts'
import { taints } from './filters/taints.ts'
import { topologySpread } from './filters/topology-spread.ts'
import { unschedulable } from './filters/unschedulable.ts'
import { volumes } from './filters/volumes.ts'
import { never } from './rule.ts'
import type { Candidate, Filter, Refusal, Score } from './rule.ts'
import { demandOf } from './resources.ts'
import { packing } from './scores/packing.ts'
import {
  nodePreference,
  podPreference,
  spreadPreference,
  taintPreference,
} from './scores/preferences.ts'
import { spreading } from './scores/spreading.ts'
import type { Slot, Snapshot } from './snapshot.ts'
import { volumeNeeds, type VolumeNeeds } from './volumes.ts'

/** In Kubernetes' order: the first that refuses a node is the one that is reported. */
const FILTERS: readonly Filter[] = [
  unschedulable,
  taints,
  nodeAffinity,
  hostPorts,
  resources,
  volumes,
  topologySpread,
  podAffinity,
]

const SCORES: readonly Score[] = [
  packing,
  spreading,
  nodePreference,
  podPreference,
  spreadPreference,
  taintPreference,
]

/** Where a pod goes, or why it goes nowhere. */
export type Placement =
  | { slot: Slot; feasible: number; why: string; needs: VolumeNeeds }
  | { slot?: undefined; message: string }

/** Chooses a node and books the pod on it for the rest of the pass. */
export function place(snapshot: Snapshot, pod: Pod): Placement {
  if (snapshot.slots.length === 0) return { message: 'no nodes available to schedule pods' }
  const needs = volumeNeeds(snapshot.reader, pod)
  if (typeof needs === 'string') {
    const refusal = never(needs)
    return {
      message: explain(
        snapshot.slots.length,
        snapshot.slots.map(() => refusal),
        needs,
      ),
    }
  }
  const candidate: Candidate = { pod, demand: demandOf(pod), snapshot }
  const refusals: Refusal[] = []
  const feasible = feasibleSlots(candidate, refusals)
  if (feasible.length === 0) return { message: explain(snapshot.slots.length, refusals) }
  const { slot, why } = best(candidate, feasible)
  snapshot.place(pod, slot, candidate.demand)
  return { slot, feasible: feasible.length, why, needs }
}

function feasibleSlots(candidate: Candidate, refusals: Refusal[]): Slot[] {
  const checks = FILTERS.flatMap((filter) => filter(candidate) ?? [])
  const feasible: Slot[] = []
  for (const slot of candidate.snapshot.slots) {
    const refusal = firstRefusal(checks, slot)
    if (refusal) refusals.push(refusal)
    else feasible.push(slot)
  }
  return feasible
}

function firstRefusal(
  checks: readonly ((slot: Slot) => Refusal | undefined)[],
  slot: Slot,
): Refusal | undefined {
  for (const check of checks) {
    const refusal = check(slot)
    if (refusal) return refusal
  }
  return undefined
}

/** The node with the most points; of equals the first in order of names. */
function best(candidate: Candidate, feasible: readonly Slot[]): { slot: Slot; why: string } {
  const totals = new Float64Array(feasible.length)
  const parts: { name: string; scaled: Float64Array }[] = []
  if (feasible.length > 1) {
    for (const score of SCORES) {
      const points = score.points(candidate)
      if (!points) continue
      const scaled = scaledPoints(feasible, points, score.scale)
      for (let index = 0; index < totals.length; index++) {
        totals[index] = (totals[index] ?? 0) + score.weight * (scaled[index] ?? 0)
      }
      parts.push({ name: score.name, scaled })
    }
  }
  let winner = 0
  for (let index = 1; index < totals.length; index++) {
    if ((totals[index] ?? 0) > (totals[winner] ?? 0)) winner = index
  }
  const [fallback] = feasible
  const slot = feasible[winner] ?? fallback
  if (!slot) throw new Error('no node to choose from')
  const why = parts.map(({ name, scaled }) => `${name} ${Math.round(scaled[winner] ?? 0)}`)
  return { slot, why: why.join(', ') }
}

/** Points from 0 to 100, more is better. */
function scaledPoints(
  slots: readonly Slot[],
  score: (slot: Slot) => number,
  scale: Score['scale'],
): Float64Array {
  const points = new Float64Array(slots.length)
  let low = Infinity
  let high = -Infinity
  let index = 0
  for (const slot of slots) {
    const value = score(slot)
    points[index++] = value
    if (value < low) low = value
    if (value > high) high = value
  }
  if (scale === 'percent') return points
  const range = high - low
  for (let index = 0; index < points.length; index++) {
    const value = points[index] ?? 0
    if (range === 0) points[index] = 100
    else points[index] = (100 * (scale === 'most' ? value - low : high - value)) / range
  }
  return points
}

/** `forAll` is no matter of nodes, and is not counted. `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: …`. */
function explain(nodes: number, refusals: readonly Refusal[], forAll?: string): string {
  const reasons = forAll ? [forAll] : tally(refusals.flatMap((refusal) => refusal.reasons))
  const helped = refusals.filter((refusal) => refusal.isHelpedByPreemption).length
  const preemption = [
    ...(helped > 0 ? [`${helped} No preemption victims found for incoming pod`] : []),
    ...(nodes > helped ? [`${nodes - helped} Preemption is not helpful for scheduling`] : []),
  ].sort()
  const head = `0/${nodes} nodes are available:`
  return `${head} ${reasons.join(', ')}. preemption: ${head} ${preemption.join(', ')}.`
}

function tally(reasons: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return [...counts].map(([reason, count]) => `${count} ${reason}`).sort()
}
