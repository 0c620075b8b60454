// How single probe results become a verdict: kubelet's thresholds, as a pure state machine.

import type { Probe } from '#shared/api/pod.ts'

export type ProbeKind = 'startup' | 'liveness' | 'readiness'

export interface ProbeState {
  /** The verdict so far; undefined before the first one of a startup probe. */
  readonly isGood: boolean | undefined
  /** Equal results in a row, and which. */
  readonly run: number
  readonly wasGood: boolean | undefined
}

export interface ProbeTimes {
  initialDelayMs: number
  periodMs: number
  timeoutMs: number
  successThreshold: number
  failureThreshold: number
}

/** A probe's numbers with Kubernetes' defaults. */
export function probeTimes(probe: Probe): ProbeTimes {
  return {
    initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
    periodMs: (probe.periodSeconds || 10) * 1000,
    timeoutMs: (probe.timeoutSeconds || 1) * 1000,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
  }
}

/** Before any probe: alive, not ready, not known to have started. */
export function firstState(kind: ProbeKind): ProbeState {
  const isGood = kind === 'liveness' ? true : kind === 'readiness' ? false : undefined
  return { isGood, run: 0, wasGood: undefined }
}

/** The state after one more result. */
export function observe(state: ProbeState, times: ProbeTimes, isGood: boolean): ProbeState {
  const run = state.wasGood === isGood ? state.run + 1 : 1
  const threshold = isGood ? times.successThreshold : times.failureThreshold
  return { isGood: run >= threshold ? isGood : state.isGood, run, wasGood: isGood }
}
