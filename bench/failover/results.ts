// The runs of the failover benchmark as numbers: what is measured, of which scenario, and what
// Kubernetes takes for the same.

import type { Measurement } from '../measurement.ts'
import { median } from '../support/median.ts'
import type { RequestRecord } from './load.ts'
import { SCENARIOS, type Outcome, type ScenarioName } from './scenarios.ts'

/** Seconds from the fault. */
export interface Run {
  scenario: ScenarioName
  detected?: number
  /** When the last request that failed was sent; 0: none failed. */
  outOfRotation: number
  /** As many pods as before are Ready, says the control plane. */
  ready: number
  /** And the new ones have answered. */
  replaced: number
  back?: number
  lost: number
  requests: number
  /** What those who got no answer saw, and when they had asked: `3 × no answer (0.1–2.3 s)`. */
  failures: string[]
}

/** A fault while the control plane was away. */
export interface AwayRun {
  scenario: ScenarioName
  /** How long it was away. */
  minutes: number
  /** Seconds from the fault until the last request that failed was sent; 0: none failed. */
  outOfRotation: number
  /** Seconds from the return of the control plane until as many pods as before are Ready. */
  replaced: number
  lost: number
  requests: number
  failures: string[]
  /** The VM was still hung or cut off when the control plane came back. */
  isLasting: boolean
}

/**
 * Kubernetes' published defaults after the death of a node. Out of rotation: the node's lease is given
 * 40 s (50 s in newer versions) and looked at every 5 s, before endpoints change. Replaced: pods bear
 * `not-ready` and `unreachable` for 300 s more. Tuned: 20 s of grace and 10 s of tolerance.
 */
export const KUBERNETES = {
  outOfRotation: 45,
  replaced: 350,
  tuned: '35 to 45 s',
  sources: [
    'https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/ (--node-monitor-grace-period, --node-monitor-period)',
    'https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions (tolerationSeconds: 300)',
  ],
} as const

/** Under way at the fault: sent shortly before, and lost with it. */
const IN_FLIGHT_MS = 2000

export function runOf(
  scenario: ScenarioName,
  { causedAt, detectedAt, readyAt, replacements, backMs }: Outcome,
  records: readonly RequestRecord[],
): Run {
  const since = (atMs: number): number => Math.max(0, atMs - causedAt) / 1000
  const ours = inFlightAt(records, causedAt)
  const failed = ours.filter(({ failure }) => failure !== undefined)
  // Ready is what the control plane says; a visitor's answer is what counts. One that came back (its
  // container was started again) has answered before.
  const firstAnswer = (pod: string): number => {
    const after = Math.max(causedAt, detectedAt ?? causedAt)
    const found = ours.find(({ servedBy, sentAt }) => servedBy === pod && sentAt >= after)
    if (!found) throw new Error(`${scenario}: ${pod} never answered`)
    return found.endedAt
  }
  return {
    scenario,
    ...(detectedAt === undefined ? {} : { detected: since(detectedAt) }),
    outOfRotation: since(Math.max(causedAt, ...failed.map(({ sentAt }) => sentAt))),
    ready: since(readyAt),
    replaced: since(Math.max(readyAt, ...replacements.map((pod) => firstAnswer(pod)))),
    ...(backMs === undefined ? {} : { back: backMs / 1000 }),
    lost: failed.length,
    requests: ours.length,
    failures: describeFailures(failed, causedAt),
  }
}

/** Those that were under way at the fault, and all after them. */
export function inFlightAt(records: readonly RequestRecord[], causedAt: number): RequestRecord[] {
  return records.filter(
    ({ sentAt, endedAt }) => sentAt >= causedAt - IN_FLIGHT_MS && endedAt >= causedAt,
  )
}

/** What those saw that got no answer, and when they had asked, in seconds from the fault. */
export function describeFailures(failed: readonly RequestRecord[], causedAt: number): string[] {
  const sent = new Map<string, number[]>()
  for (const { failure = '', sentAt } of failed) {
    sent.set(failure, [...(sent.get(failure) ?? []), (sentAt - causedAt) / 1000])
  }
  return [...sent].map(([failure, at]) => {
    const [first, last] = [Math.min(...at), Math.max(...at)].map((seconds) => seconds.toFixed(1))
    return `${at.length} × ${failure} (${first}–${last} s)`
  })
}

export const COLUMNS = ['detected', 'outOfRotation', 'replaced', 'back', 'lost'] as const
type Column = (typeof COLUMNS)[number]

const NAMES: Record<Column, string> = {
  detected: 'detected',
  outOfRotation: 'out-of-rotation',
  replaced: 'replaced',
  back: 'back',
  lost: 'lost',
}

/** Median and worst; undefined when the scenario does not have it. */
export function summary(
  runs: readonly Run[],
  scenario: ScenarioName,
  column: Column,
): { median: number; worst: number; runs: number } | undefined {
  const values = valuesOf(runs, scenario, column)
  const worst = values.at(-1)
  if (worst === undefined) return undefined
  return { median: median(values), worst, runs: values.length }
}

/** In ascending order. */
export function valuesOf(runs: readonly Run[], scenario: ScenarioName, column: Column): number[] {
  return runs
    .filter((run) => run.scenario === scenario)
    .flatMap((run) => run[column] ?? [])
    .sort((left, right) => left - right)
}

export function measurementsOf(runs: readonly Run[]): Measurement[] {
  return SCENARIOS.flatMap((scenario) =>
    COLUMNS.flatMap((column): Measurement[] => {
      const found = summary(runs, scenario.name, column)
      if (!found) return []
      const unit = column === 'lost' ? 'requests' : 's'
      const name = `${scenario.name}.${NAMES[column]}`
      const isCompared = 'comparison' in scenario
      const note = noteOf(column, found.runs, isCompared)
      return [
        // The name by itself is the median: `rollout.lost`.
        ...(column === 'lost' ? [{ name, unit, value: found.median, note }] : []),
        { name: `${name}.median`, unit, value: found.median, note },
        { name: `${name}.worst`, unit, value: found.worst },
      ]
    }),
  )
}

/** `vm-kill.away.lost.median`: the same events while the control plane was away. */
export function awayMeasurements(runs: readonly AwayRun[]): Measurement[] {
  const columns = {
    'out-of-rotation': 'outOfRotation',
    replaced: 'replaced',
    lost: 'lost',
  } as const
  return SCENARIOS.flatMap(({ name }) => {
    const ours = runs.filter(({ scenario }) => scenario === name)
    if (ours.length === 0) return []
    return Object.entries(columns).map(([column, key]): Measurement => {
      const values = ours.map((run) => run[key])
      const unit = key === 'lost' ? 'requests' : 's'
      const note = key === 'replaced' ? 'after its return' : `${ours[0]?.minutes} minutes away`
      return { name: `${name}.away.${column}.median`, unit, value: median(values), note }
    })
  })
}

function noteOf(column: Column, runs: number, isCompared: boolean): string {
  const of = `${runs} runs`
  if (!isCompared) return of
  if (column === 'outOfRotation')
    return `${of}; Kubernetes' defaults: about ${KUBERNETES.outOfRotation} s`
  if (column === 'replaced') return `${of}; Kubernetes' defaults: about ${KUBERNETES.replaced} s`
  return of
}
