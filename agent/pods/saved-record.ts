// A pod's record on disk, so that the next agent on this machine goes on where this one stopped: start
// times, restart counts, back-offs and ends are told as before, containers that run are adopted.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord } from '../json.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Exit, LeftContainer } from '../runtime/runtime.ts'
import { podFolder } from './pod-folder.ts'
import { isAlive, newPodRecord } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'

/** Another shape in a later version gets another number: then the API's status is gone by. */
const VERSION = 1
const FILE = 'record.json'

type Kept = Pick<PodRecord, 'startTime' | 'podIP' | 'containers' | 'failed' | 'isFinished'>

/** Writes a record down; `last` is what was written before. Answers what is written now. */
export function saveRecord(stateDir: string, record: PodRecord, last: string): string {
  const { startTime, podIP, containers, failed, isFinished } = record
  const kept: Kept = { startTime, podIP, containers, failed, isFinished }
  const text = JSON.stringify({ version: VERSION, kept })
  if (text === last) return text
  const folder = podFolder(stateDir, record.pod.metadata.uid)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${FILE}.new`), text, { mode: 0o600 })
  renameSync(join(folder, `${FILE}.new`), join(folder, FILE))
  return text
}

/** True when an earlier agent has kept a record of the pod. */
export function hasSavedRecord(stateDir: string, uid: string): boolean {
  return loadRecord(stateDir, uid) !== undefined
}

/**
 * The record of a pod that an earlier agent has worked on, or a new one. `left` are its containers that
 * are still there: they go on; what should be there and is not has ended unseen.
 */
export function restoreRecord(
  stateDir: string,
  pod: Pod,
  left: readonly LeftContainer[],
  now: number,
): PodRecord {
  const fresh = newPodRecord(pod, now)
  const kept = loadRecord(stateDir, pod.metadata.uid)
  if (!kept) return fresh
  const { startTime, podIP, failed, isFinished } = kept
  const containers = fresh.containers.map((container) => {
    const before = kept.containers.find(({ name }) => name === container.name)
    const found = left.find(({ name }) => name === container.name)
    return before ? restoreContainer({ ...before, kind: container.kind }, found, now) : container
  })
  return { ...fresh, startTime, podIP, failed, isFinished, containers }
}

/** The one of these containers that a restored record goes on with. */
export function isTakenOver(record: PodRecord, { name, attempt }: LeftContainer): boolean {
  const container = record.containers.find((each) => each.name === name)
  return container?.step === 'running' && container.starts === attempt + 1
}

function restoreContainer(
  before: ContainerRecord,
  found: LeftContainer | undefined,
  now: number,
): ContainerRecord {
  const base: ContainerRecord = { ...before, retryAt: undefined, condemned: undefined }
  if (!isAlive(before)) return base
  // A start that was not written down any more counts if its container is there.
  const number = before.step === 'starting' ? before.starts : before.starts - 1
  if (found && found.attempt === number) {
    return {
      ...base,
      step: 'running',
      waiting: undefined,
      starts: number + 1,
      startedAt: found.startedAt,
      containerID: found.containerID,
      isSettling: false,
      ...(before.step === 'starting'
        ? { isStarted: false, isReady: false, exit: undefined, lastExit: before.exit }
        : {}),
    }
  }
  if (before.step === 'starting') {
    return { ...base, step: before.exit ? 'exited' : 'idle' }
  }
  return { ...base, step: 'exited', isReady: false, isStarted: false, exit: lostExit(before, now) }
}

/** An end that nobody saw: code 255, as containerd reports it after a reboot. */
function lostExit({ startedAt, containerID }: ContainerRecord, now: number): Exit {
  return {
    exitCode: 255,
    reason: 'Unknown',
    startedAt: startedAt ?? now,
    finishedAt: now,
    containerID: containerID ?? '',
  }
}

function loadRecord(stateDir: string, uid: string): Kept | undefined {
  try {
    const json: unknown = JSON.parse(readFileSync(join(podFolder(stateDir, uid), FILE), 'utf8'))
    return isRecord(json) && json['version'] === VERSION && isKept(json['kept'])
      ? json['kept']
      : undefined
  } catch {
    // None yet, or torn by a power cut.
    return undefined
  }
}

/** Written by saveRecord; its shape is believed once its version is ours. */
function isKept(value: unknown): value is Kept {
  return isRecord(value) && Array.isArray(value['containers'])
}
