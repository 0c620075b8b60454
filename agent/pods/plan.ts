// What to do next for one pod: a pure function of its record and the time, asked again after every
// event. The order of things is kubelet's (computePodActions); the worker carries it out.

import { DRAINED_ANNOTATION } from '#shared/ingress/draining.ts'
import { parseTime } from '#shared/time.ts'
import { nextTryAt } from './back-off.ts'
import { isAlive } from './record.ts'
import type { ContainerRecord, Leaving, PodRecord } from './record.ts'

export type Action =
  /** Give it an address and its volumes. */
  | { do: 'setUp' }
  | { do: 'start'; container: string }
  /** SIGTERM after its preStop hook, SIGKILL when the grace is over. */
  | { do: 'stop'; container: string; graceSeconds: number; why: string }
  /** Its deadline has passed: from now on it is a failed pod. */
  | { do: 'fail'; reason: string; message: string }
  /** All has stopped for good: give back what it holds. */
  | { do: 'finish' }

export interface Plan {
  actions: Action[]
  /** Look again at this time (ms) even if nothing happens. */
  wakeAt?: number
}

const DEFAULT_GRACE_SECONDS = 30

/** The next steps of a pod. Steps that are under way are not asked for again. */
export function planPod(record: PodRecord, now: number): Plan {
  if (record.isFinished) return { actions: [] }
  if (record.leaving) return planLeaving(record, record.leaving, now)
  if (record.failed) return planEnd(record, record.failed.graceSeconds ?? graceOf(record), '')
  const deadline = deadlineOf(record)
  if (deadline !== undefined && deadline <= now && !isComplete(record)) {
    return { actions: [{ do: 'fail', ...DEADLINE_EXCEEDED }] }
  }
  if (isComplete(record)) return planEnd(record, graceOf(record), '')
  const plan = record.setUp === 'yes' ? planContainers(record, now) : planSetUp(record, now)
  return withWake(plan, deadline)
}

const DEADLINE_EXCEEDED = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
}

/** True when no container will run again: the pod has succeeded or failed. Sidecars do not count. */
export function isComplete(record: PodRecord): boolean {
  if (record.failed) return true
  const policy = record.pod.spec.restartPolicy ?? 'Always'
  const inits = record.containers.filter(({ kind }) => kind === 'init')
  if (policy === 'Never' && inits.some((init) => hasExited(init) && init.exit?.exitCode !== 0)) {
    return true
  }
  const mains = record.containers.filter(({ kind }) => kind === 'main')
  return mains.every((main) => hasExited(main) && !isRestarted(record, main))
}

/** True once every init container has ended well and every sidecar has started. */
export function isInitialized(record: PodRecord): boolean {
  return record.containers.every(
    (container) =>
      container.kind === 'main' ||
      (container.kind === 'init'
        ? container.exit?.exitCode === 0
        : container.isStarted || hasMainStarted(record)),
  )
}

/** When an exited container is due again; undefined: never. */
export function restartAt(record: PodRecord, container: ContainerRecord): number | undefined {
  if (!container.exit || !isRestarted(record, container)) return undefined
  return nextTryAt(container.crashes, container.exit.finishedAt)
}

function planSetUp(record: PodRecord, now: number): Plan {
  if (record.setUp === 'busy') return { actions: [] }
  if (record.setUpRetryAt !== undefined && record.setUpRetryAt > now) {
    return { actions: [], wakeAt: record.setUpRetryAt }
  }
  return { actions: [{ do: 'setUp' }] }
}

function planContainers(record: PodRecord, now: number): Plan {
  let plan: Plan = { actions: [] }
  for (const container of record.containers) {
    plan = merge(plan, planContainer(record, container, now))
    if (container.kind === 'init' && container.exit?.exitCode !== 0) break
    if (container.kind === 'sidecar' && !container.isStarted && !hasMainStarted(record)) break
  }
  return plan
}

function planContainer(record: PodRecord, container: ContainerRecord, now: number): Plan {
  const { name, step, condemned, retryAt } = container
  if (step === 'idle') return dueAt(container, retryAt ?? now, now)
  if (step === 'exited') {
    const at = restartAt(record, container)
    return at === undefined ? { actions: [] } : dueAt(container, Math.max(at, retryAt ?? at), now)
  }
  // Starting and stopping are under way; what runs is left alone unless it is condemned.
  if (step !== 'running' || !condemned) return { actions: [] }
  return { actions: [{ do: 'stop', container: name, ...condemned }] }
}

function dueAt(container: ContainerRecord, at: number, now: number): Plan {
  return at <= now
    ? { actions: [{ do: 'start', container: container.name }] }
    : { actions: [], wakeAt: at }
}

/** By then every node that can be reached has heard that a pod leaves, and forwards past it. */
const HEARD_MS = 5000

/**
 * A pod that gets requests through a balancer goes on serving until that has let it go, and one behind a
 * Service until the nodes forward past it: for at most half of its grace period, which begins when it was
 * told to leave.
 */
function planLeaving(record: PodRecord, leaving: Leaving, now: number): Plan {
  const { graceSeconds, since, isDraining, isServed } = leaving
  const latest = since + (graceSeconds * 1000) / 2
  const drained = parseTime(record.pod.metadata.annotations?.[DRAINED_ANNOTATION])
  const heard = isServed ? since + HEARD_MS : now
  const until = isDraining ? latest : Math.min(latest, Math.max(heard, drained ?? now))
  const isServing = record.containers.some(({ step }) => step === 'running')
  if (isServing && until > now) return { actions: [], wakeAt: until }
  const spent = Math.floor((now - since) / 1000)
  return planEnd(record, graceSeconds === 0 ? 0 : Math.max(1, graceSeconds - spent), '')
}

/**
 * Mains stop together, then the sidecars one after the other in reverse order, as Kubernetes does
 * since sidecars are stable.
 */
function planEnd(record: PodRecord, graceSeconds: number, why: string): Plan {
  const alive = record.containers.filter(isAlive)
  if (alive.length === 0) return { actions: record.setUp === 'busy' ? [] : [{ do: 'finish' }] }
  const ordinary = alive.filter(({ kind }) => kind !== 'sidecar')
  const turn = ordinary.length > 0 ? ordinary : alive.slice(-1)
  return {
    actions: turn
      .filter(({ step }) => step === 'running')
      .map(({ name }) => ({ do: 'stop', container: name, graceSeconds, why })),
  }
}

function isRestarted(record: PodRecord, container: ContainerRecord): boolean {
  if (container.kind === 'sidecar') return true
  const policy = record.pod.spec.restartPolicy ?? 'Always'
  if (container.exit?.exitCode === 0 && container.kind === 'init') return false
  if (policy === 'Always') return true
  return policy === 'OnFailure' && container.exit?.exitCode !== 0
}

function hasExited(container: ContainerRecord): boolean {
  return container.step === 'exited'
}

function hasMainStarted(record: PodRecord): boolean {
  return record.containers.some(({ kind, step }) => kind === 'main' && step !== 'idle')
}

function deadlineOf(record: PodRecord): number | undefined {
  const seconds = record.pod.spec.activeDeadlineSeconds
  return seconds === undefined ? undefined : record.startTime + seconds * 1000
}

function graceOf(record: PodRecord): number {
  return record.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
}

function merge(a: Plan, b: Plan): Plan {
  return withWake({ actions: [...a.actions, ...b.actions], ...wake(a.wakeAt) }, b.wakeAt)
}

function withWake(plan: Plan, at: number | undefined): Plan {
  if (at === undefined) return plan
  return { ...plan, wakeAt: Math.min(plan.wakeAt ?? at, at) }
}

function wake(at: number | undefined): { wakeAt?: number } {
  return at === undefined ? {} : { wakeAt: at }
}
