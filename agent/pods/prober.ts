// Runs the probes of one running container at their times and tells their verdicts. A startup probe
// comes alone first; liveness and readiness begin once it has succeeded.
//
// One thing is kinder than kubelet: while nothing listens at the port yet, the first startup and
// readiness attempt is repeated in short steps within its own period, so that an app which needs
// 200 ms to open its port is ready after 200 ms, not after one whole period. It counts as one attempt.

import type { Container, Probe } from '#shared/api/pod.ts'
import { check } from './check.ts'
import type { CheckResult, CheckTarget } from './check.ts'
import { firstState, observe, probeTimes } from './probe-state.ts'
import type { ProbeKind } from './probe-state.ts'

export interface ProbeListener {
  onStarted(): void
  onReady(isReady: boolean): void
  /** Liveness or startup has failed for good: the container must be killed. */
  onDead(kind: 'liveness' | 'startup', probe: Probe): void
  /** One attempt failed; `message` as kubelet's Unhealthy event. */
  onFailure(message: string): void
  /** The first attempts are over, whatever they said. */
  onSettled(): void
}

const FIRST_STEP_MS = 25
const LAST_STEP_MS = 100

/** Starts probing; answers the function that ends it. */
export function startProbes(
  container: Container,
  target: CheckTarget,
  listener: ProbeListener,
): () => void {
  const stop = new AbortController()
  void runProbes(container, target, listener, stop.signal)
  return () => stop.abort()
}

async function runProbes(
  container: Container,
  target: CheckTarget,
  listener: ProbeListener,
  signal: AbortSignal,
): Promise<void> {
  const { startupProbe, livenessProbe, readinessProbe } = container
  if (startupProbe) {
    const hasStarted = await runStartup(startupProbe, target, listener, signal)
    if (!hasStarted) return
  }
  listener.onStarted()
  if (livenessProbe) void runLiveness(livenessProbe, target, listener, signal)
  if (readinessProbe) void runReadiness(readinessProbe, target, listener, signal)
  else listener.onSettled()
}

async function runStartup(
  probe: Probe,
  target: CheckTarget,
  listener: ProbeListener,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const isGood of verdicts('startup', probe, target, listener, signal)) {
    if (isGood === true) return true
    if (isGood === false) {
      listener.onDead('startup', probe)
      return false
    }
    listener.onSettled()
  }
  return false
}

async function runLiveness(
  probe: Probe,
  target: CheckTarget,
  listener: ProbeListener,
  signal: AbortSignal,
): Promise<void> {
  for await (const isGood of verdicts('liveness', probe, target, listener, signal)) {
    if (isGood !== false) continue
    listener.onDead('liveness', probe)
    return
  }
}

async function runReadiness(
  probe: Probe,
  target: CheckTarget,
  listener: ProbeListener,
  signal: AbortSignal,
): Promise<void> {
  for await (const isGood of verdicts('readiness', probe, target, listener, signal)) {
    listener.onReady(isGood === true)
    listener.onSettled()
  }
}

/** The verdict after each attempt, until the signal. */
async function* verdicts(
  kind: ProbeKind,
  probe: Probe,
  target: CheckTarget,
  listener: ProbeListener,
  signal: AbortSignal,
): AsyncGenerator<boolean | undefined> {
  const times = probeTimes(probe)
  let state = firstState(kind)
  let isFirst = true
  if (times.initialDelayMs > 0 && kind === 'readiness') listener.onSettled()
  await sleep(times.initialDelayMs, signal)
  while (!signal.aborted) {
    const begun = performance.now()
    const isPatient = isFirst && kind !== 'liveness'
    const result = isPatient
      ? await patientCheck(probe, target, times.timeoutMs, times.periodMs, signal)
      : await check(probe, target, times.timeoutMs)
    if (signal.aborted) return
    isFirst = false
    state = observe(state, times, result.isGood)
    if (!result.isGood) listener.onFailure(`${NAMES[kind]} probe failed: ${result.message}`)
    yield state.isGood
    await sleep(Math.max(0, times.periodMs - (performance.now() - begun)), signal)
  }
}

const NAMES: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  liveness: 'Liveness',
  readiness: 'Readiness',
}

async function patientCheck(
  probe: Probe,
  target: CheckTarget,
  timeoutMs: number,
  withinMs: number,
  signal: AbortSignal,
): Promise<CheckResult> {
  const until = performance.now() + withinMs
  for (let step = FIRST_STEP_MS; ; step = Math.min(step * 1.5, LAST_STEP_MS)) {
    const result = await check(probe, target, timeoutMs)
    const isOver = performance.now() + step > until
    if (!result.isRefused || isOver || signal.aborted) return result
    await sleep(step, signal)
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
