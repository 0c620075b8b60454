// The PodStatus that a record amounts to, in kubelet's words. Pure: the same record, time and former
// status always give the same text, so "has it changed" is a comparison.

import { withCondition } from '#shared/api/conditions.ts'
import type { Condition } from '#shared/api/meta.ts'
import type { ContainerState, ContainerStatus, PodPhase, PodStatus } from '#shared/api/pod.ts'
import { formatTime } from '#shared/time.ts'
import { normaliseImage } from '../runtime/runtime.ts'
import type { Exit } from '../runtime/runtime.ts'
import { goDuration } from './back-off.ts'
import { isComplete, isInitialized, restartAt } from './plan.ts'
import { isAlive, restartCountOf, specOf } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'

/** How long a failed pull is shown as ErrImagePull before it is shown as the back-off it is. */
export const ERR_IMAGE_PULL_MS = 1500

/**
 * The status to report. `before` is the last known one: conditions that others own are kept, and
 * the time of a condition moves only when it does.
 */
export function statusOf(
  record: PodRecord,
  before: PodStatus | undefined,
  hostIP: string,
  now: number,
): PodStatus {
  const told = record.failed?.isRejected ? [] : record.containers
  const inits = told.filter(({ kind }) => kind !== 'main')
  const mains = told.filter(({ kind }) => kind === 'main')
  const phase = phaseOf(record)
  const { podIP } = record
  return {
    ...(before?.qosClass ? { qosClass: before.qosClass } : {}),
    ...(before?.observedGeneration ? { observedGeneration: before.observedGeneration } : {}),
    phase,
    ...failureOf(record),
    conditions: conditionsOf(record, phase, before, now),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(podIP ? { podIP, podIPs: [{ ip: podIP }] } : {}),
    startTime: formatTime(record.startTime),
    ...(inits.length > 0
      ? { initContainerStatuses: inits.map((each) => containerStatus(record, each, now)) }
      : {}),
    containerStatuses: mains.map((each) => containerStatus(record, each, now)),
  }
}

function failureOf({ failed }: PodRecord): Pick<PodStatus, 'reason' | 'message'> {
  return failed ? { reason: failed.reason, message: failed.message } : {}
}

const OURS: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
])

/**
 * What to hand to statusOf as `before`: the stored status with our own conditions as we last made
 * them, since the stored ones may be older than our last report.
 */
export function mergeConditions(
  last: PodStatus | undefined,
  stored: PodStatus | undefined,
): PodStatus {
  if (!last) return stored ?? {}
  const theirs = (stored?.conditions ?? []).filter(({ type }) => !OURS.has(type))
  const ours = (last.conditions ?? []).filter(({ type }) => OURS.has(type))
  return { ...stored, conditions: [...theirs, ...ours] }
}

/** Kubelet's getPhase. */
export function phaseOf(record: PodRecord): PodPhase {
  if (record.failed) return 'Failed'
  const mains = record.containers.filter(({ kind }) => kind === 'main')
  if (isComplete(record) || (record.leaving && record.isFinished)) {
    const isGood = record.containers.every(
      ({ kind, exit }) => kind === 'sidecar' || exit === undefined || exit.exitCode === 0,
    )
    const hasRun = mains.some(({ exit }) => exit !== undefined)
    return isGood && hasRun ? 'Succeeded' : 'Failed'
  }
  if (!isInitialized(record)) return 'Pending'
  const hasNeverRun = mains.some(
    ({ step, exit, lastExit }) =>
      (step === 'idle' || step === 'starting') && exit === undefined && lastExit === undefined,
  )
  return hasNeverRun ? 'Pending' : 'Running'
}

function containerStatus(
  record: PodRecord,
  container: ContainerRecord,
  now: number,
): ContainerStatus {
  const spec = specOf(record.pod, container.name)
  const state = stateOf(record, container, now)
  const last = state.terminated ? container.lastExit : (container.exit ?? container.lastExit)
  return {
    name: container.name,
    image: spec.image ? displayImage(spec.image) : '',
    imageID: container.imageID,
    ...(container.containerID ? { containerID: container.containerID } : {}),
    ready: isReady(container),
    started: container.step === 'running' && container.isStarted,
    restartCount: restartCountOf(container),
    state,
    lastState: last ? { terminated: terminated(last) } : {},
  }
}

function isReady(container: ContainerRecord): boolean {
  if (container.kind === 'init') return container.exit?.exitCode === 0
  return container.step === 'running' && container.isStarted && container.isReady
}

function stateOf(record: PodRecord, container: ContainerRecord, now: number): ContainerState {
  if (container.step === 'running' || container.step === 'stopping') {
    return { running: { startedAt: formatTime(container.startedAt ?? now) } }
  }
  if (container.exit && container.step !== 'starting') {
    const dueAt = record.leaving || record.failed ? undefined : restartAt(record, container)
    if (dueAt === undefined) return { terminated: terminated(container.exit) }
    if (container.waiting) return { waiting: waiting(container.waiting, container, now) }
    if (dueAt <= now) return { terminated: terminated(container.exit) }
    const { metadata } = record.pod
    return {
      waiting: {
        reason: 'CrashLoopBackOff',
        message:
          `back-off ${goDuration(container.crashes.ms)} restarting failed ` +
          `container=${container.name} pod=${metadata.name}_${metadata.namespace}(${metadata.uid})`,
      },
    }
  }
  if (container.waiting) return { waiting: waiting(container.waiting, container, now) }
  const isBehindInits = container.kind !== 'sidecar' && !isInitialized(record)
  const isFirst = container === record.containers[0]
  return {
    waiting: { reason: isBehindInits && !isFirst ? 'PodInitializing' : 'ContainerCreating' },
  }
}

function waiting(
  given: { reason: string; message?: string },
  container: ContainerRecord,
  now: number,
): { reason: string; message?: string } {
  if (given.reason !== 'ErrImagePull' || isFirstMoment(container, now)) return given
  return {
    reason: 'ImagePullBackOff',
    message: `Back-off pulling image: ErrImagePull: ${given.message ?? ''}`,
  }
}

function isFirstMoment({ refusals }: ContainerRecord, now: number): boolean {
  return refusals.ms <= 10_000 && now - refusals.raisedAt < ERR_IMAGE_PULL_MS
}

function terminated(exit: Exit): NonNullable<ContainerState['terminated']> {
  return {
    exitCode: exit.exitCode,
    reason: exit.reason,
    ...(exit.message ? { message: exit.message } : {}),
    startedAt: formatTime(exit.startedAt),
    finishedAt: formatTime(exit.finishedAt),
    ...(exit.containerID ? { containerID: exit.containerID } : {}),
  }
}

function conditionsOf(
  record: PodRecord,
  phase: PodPhase,
  before: PodStatus | undefined,
  now: number,
): Condition[] {
  const serving = record.containers.filter(({ kind }) => kind !== 'init')
  const unready = serving.filter((each) => !isReady(each)).map(({ name }) => name)
  const uninitialized = record.containers
    .filter(({ kind }) => kind !== 'main')
    .filter((each) => (each.kind === 'init' ? each.exit?.exitCode !== 0 : !each.isStarted))
    .map(({ name }) => name)
  const isDone = phase === 'Succeeded'
  const isEnded = isDone || phase === 'Failed'
  const initialized = isInitialized(record) || isDone
  const notReady = isDone
    ? { reason: 'PodCompleted' }
    : isEnded
      ? { reason: 'PodFailed' }
      : {
          reason: 'ContainersNotReady',
          message: `containers with unready status: [${unready.join(' ')}]`,
        }
  const containersReady = unready.length === 0 && !isEnded
  const hasSandbox = record.setUp === 'yes' && (!isEnded || record.containers.some(isAlive))
  const gate = containersReady ? readinessGate(record, before) : undefined
  const ours: Condition[] = [
    { type: 'PodReadyToStartContainers', status: word(hasSandbox) },
    initialized
      ? { type: 'Initialized', status: 'True', ...(isDone ? { reason: 'PodCompleted' } : {}) }
      : {
          type: 'Initialized',
          status: 'False',
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: [${uninitialized.join(' ')}]`,
        },
    {
      type: 'Ready',
      status: word(containersReady && !gate),
      ...(containersReady ? gate : notReady),
    },
    {
      type: 'ContainersReady',
      status: word(containersReady),
      ...(containersReady ? {} : notReady),
    },
  ]
  return ours.reduce<Condition[]>(
    (list, condition) => withCondition(list, condition, now),
    before?.conditions ?? [],
  )
}

function readinessGate(
  record: PodRecord,
  before: PodStatus | undefined,
): { reason: string; message: string } | undefined {
  const messages = (record.pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const condition = before?.conditions?.find(({ type }) => type === conditionType)
    if (!condition) {
      return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`]
    }
    if (condition.status === 'True') return []
    return [
      `the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`,
    ]
  })
  return messages.length === 0
    ? undefined
    : { reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
}

function word(value: boolean): 'True' | 'False' {
  return value ? 'True' : 'False'
}

/** As containerd reports it: in full, `docker.io/library/web:latest`. */
function displayImage(image: string): string {
  return normaliseImage(image) ?? image
}
