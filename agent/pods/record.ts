// What the agent knows of one pod on its machine, as data: the decision core (plan.ts) and the status
// (status.ts) are functions of it. Only the pod's worker (worker.ts) changes it.

import type { Container, Pod } from '#shared/api/pod.ts'
import { parseTime } from '#shared/time.ts'
import type { Exit } from '../runtime/runtime.ts'
import { NO_BACK_OFF } from './back-off.ts'
import type { BackOff } from './back-off.ts'

/** `init`: must end before the next one. `sidecar`: an init container that stays. */
export type ContainerKind = 'init' | 'sidecar' | 'main'

/**
 * `idle`: never started, or its start was refused (`waiting` says why) and is tried again at
 * `retryAt`. `starting` and `stopping`: the worker is at it. `exited`: `exit` says how.
 */
export type Step = 'idle' | 'starting' | 'running' | 'stopping' | 'exited'

export interface ContainerRecord {
  readonly name: string
  readonly kind: ContainerKind
  step: Step
  waiting: { reason: string; message?: string } | undefined
  retryAt: number | undefined
  imageID: string
  containerID: string | undefined
  startedAt: number | undefined
  /** The startup probe has succeeded, or there is none. */
  isStarted: boolean
  /** The readiness probe's word; true at once where there is none. */
  isReady: boolean
  /** A first verdict of its probes is still to come: not worth a report of its own. */
  isSettling: boolean
  exit: Exit | undefined
  lastExit: Exit | undefined
  /** Starts so far, this machine's boots before included. */
  starts: number
  crashes: BackOff
  refusals: BackOff
  /** A probe or a hook wants it killed: the seconds of grace and what to say. */
  condemned: { graceSeconds: number; why: string } | undefined
}

export interface Leaving {
  graceSeconds: number
  /** When it was told to (ms). */
  since: number
  /** A balancer still sends it requests. */
  isDraining: boolean
  /** Other nodes forward a Service's requests to it, until they have heard of it. */
  isServed: boolean
}

export interface Failed {
  reason: string
  message: string
  /** For its containers; undefined: as the pod says. */
  graceSeconds?: number
  /** The node did not take it: there are no containers to tell of. */
  isRejected?: true
}

export interface PodRecord {
  pod: Pod
  /** When the agent first saw it (ms). */
  readonly startTime: number
  podIP: string | undefined
  /** The process whose network the pod has, as this agent sees it; undefined where it has none of its own. */
  networkPid: number | undefined
  setUp: 'no' | 'busy' | 'yes'
  setUpRetryAt: number | undefined
  setUps: BackOff
  /** Init containers and sidecars in the order of the spec, then the others. */
  readonly containers: ContainerRecord[]
  /** It shall stop: deleted, or not this node's any more. */
  leaving: Leaving | undefined
  /** It ended for a reason that no container gave (its deadline, a refusal of the node). */
  failed: Failed | undefined
  /** Everything has stopped for good and its resources are given back. */
  isFinished: boolean
}

/** A container's place in the spec, its kind beside it. */
export interface ContainerSpecOf {
  container: Container
  kind: ContainerKind
}

/** The containers of a pod in the order in which they start. */
export function containersOf(pod: Pod): ContainerSpecOf[] {
  const first = (pod.spec.initContainers ?? []).map((container): ContainerSpecOf => ({
    container,
    kind: container.restartPolicy === 'Always' ? 'sidecar' : 'init',
  }))
  return [
    ...first,
    ...pod.spec.containers.map((container): ContainerSpecOf => ({ container, kind: 'main' })),
  ]
}

/** The spec of one container. */
export function specOf(pod: Pod, name: string): Container {
  const found = containersOf(pod).find(({ container }) => container.name === name)
  if (!found) throw new Error(`pod ${pod.metadata.name} has no container ${name}`)
  return found.container
}

/**
 * The record of a pod that this agent sees for the first time. A status with started containers
 * means that the machine (or the agent) was gone meanwhile: they count as restarted, and their last
 * state is an exit that nobody saw (code 255, as containerd reports it after a reboot).
 */
export function newPodRecord(pod: Pod, now: number): PodRecord {
  return {
    pod,
    startTime: parseTime(pod.status?.startTime) ?? now,
    podIP: undefined,
    networkPid: undefined,
    setUp: 'no',
    setUpRetryAt: undefined,
    setUps: NO_BACK_OFF,
    containers: containersOf(pod).map(({ container, kind }) =>
      newContainerRecord(pod, container.name, kind, now),
    ),
    leaving: undefined,
    failed: undefined,
    isFinished: false,
  }
}

function newContainerRecord(
  pod: Pod,
  name: string,
  kind: ContainerKind,
  now: number,
): ContainerRecord {
  const statuses = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ]
  const before = statuses.find((status) => status.name === name)
  const wasStarted = before?.containerID !== undefined && before.containerID !== ''
  const ended = before?.state?.terminated
  const lost: Exit = {
    exitCode: ended?.exitCode ?? 255,
    reason: ended?.reason ?? 'Unknown',
    startedAt: parseTime(ended?.startedAt ?? before?.state?.running?.startedAt) ?? now,
    finishedAt: parseTime(ended?.finishedAt) ?? now,
    containerID: before?.containerID ?? '',
  }
  const policy = pod.spec.restartPolicy ?? 'Always'
  const isOver =
    kind === 'main' &&
    wasStarted &&
    (policy === 'Never' || (policy === 'OnFailure' && lost.exitCode === 0))
  return {
    name,
    kind,
    step: isOver ? 'exited' : 'idle',
    waiting: undefined,
    retryAt: undefined,
    imageID: '',
    containerID: undefined,
    startedAt: undefined,
    isStarted: false,
    isReady: false,
    isSettling: false,
    exit: isOver ? lost : undefined,
    lastExit: wasStarted && !isOver ? lost : undefined,
    starts: wasStarted ? before.restartCount + 1 : 0,
    crashes: NO_BACK_OFF,
    refusals: NO_BACK_OFF,
    condemned: undefined,
  }
}

/** True while its process is there, or about to be. */
export function isAlive(container: ContainerRecord): boolean {
  return (
    container.step === 'starting' || container.step === 'running' || container.step === 'stopping'
  )
}

/** How often it was started again: Kubernetes' restartCount. */
export function restartCountOf(container: ContainerRecord): number {
  return Math.max(0, container.starts - 1)
}
