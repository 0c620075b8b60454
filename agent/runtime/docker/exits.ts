// How a container has ended, as its status tells it.

import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Exit } from '../runtime.ts'
import { isNotFound, soon } from './engine.ts'

const SIGKILLED = 137
/** The kernel's word that memory was the reason comes by another way than the end. */
const OOM_STEP_MS = 50
const OOM_STEPS = 30

/** Rejects when the engine does not answer. One that is not there any more has ended unseen (255). */
export async function readExit(
  container: Docker.Container,
  hasMemoryLimit: boolean,
): Promise<Exit> {
  let state = await stateOf(container)
  const containerID = `docker://${container.id}`
  if (!state) {
    const now = Date.now()
    const reason = 'ContainerStatusUnknown'
    return { exitCode: 255, reason, startedAt: now, finishedAt: now, containerID }
  }
  const mayBeMemory = hasMemoryLimit && state.ExitCode === SIGKILLED
  for (let left = mayBeMemory ? OOM_STEPS : 0; left > 0 && !state.OOMKilled; left--) {
    await sleep(OOM_STEP_MS)
    state = (await stateOf(container)) ?? state
  }
  const { ExitCode: exitCode, OOMKilled, StartedAt, FinishedAt } = state
  return {
    exitCode,
    reason: OOMKilled && exitCode !== 0 ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
    startedAt: Date.parse(StartedAt),
    finishedAt: Date.parse(FinishedAt),
    containerID,
  }
}

async function stateOf(
  container: Docker.Container,
): Promise<Docker.ContainerInspectInfo['State'] | undefined> {
  try {
    return (await container.inspect(soon())).State
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
