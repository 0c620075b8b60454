// What an earlier agent left on the engine: for each pod its sandbox, for each container the last
// one. Whatever else carries our label is removed.

import type Docker from 'dockerode'
import type { LeftContainer } from '../runtime.ts'
import { LABELS, removeContainer, SANDBOX, soon } from './engine.ts'

export interface Left {
  sandboxes: { uid: string; engineId: string }[]
  containers: LeftContainer[]
  /** The ended ones of `containers`, by the engine's id. */
  ended: { podUid: string; name: string; engineId: string }[]
}

/** Looks once, and tidies up. */
export async function findLeft(docker: Docker, owner: string): Promise<Left> {
  const all = await docker.listContainers({
    all: true,
    filters: { label: [`${LABELS.owner}=${owner}`] },
    ...soon(),
  })
  const left: Left = { sandboxes: [], containers: [], ended: [] }
  const seen = new Set<string>()
  // A started one before one that never was, then the newest.
  const order = all.toSorted(
    (a, b) =>
      Number(isBegun(b)) - Number(isBegun(a)) ||
      attemptOf(b) - attemptOf(a) ||
      b.Created - a.Created,
  )
  for (const info of order) {
    const podUid = info.Labels[LABELS.podUid] ?? ''
    const isSandbox = info.Labels[LABELS.type] === SANDBOX
    const name = isSandbox ? '' : (info.Labels[LABELS.container] ?? '')
    const key = `${podUid}/${name}`
    if (seen.has(key) || !isBegun(info)) {
      await removeContainer(docker, info.Id)
      continue
    }
    seen.add(key)
    if (isSandbox) left.sandboxes.push({ uid: podUid, engineId: info.Id })
    else await addContainer(docker, left, info, podUid, name)
  }
  return left
}

async function addContainer(
  docker: Docker,
  left: Left,
  info: Docker.ContainerInfo,
  podUid: string,
  name: string,
): Promise<void> {
  const { State } = await docker.getContainer(info.Id).inspect(soon())
  if (!State.Running) left.ended.push({ podUid, name, engineId: info.Id })
  left.containers.push({
    id: info.Labels[LABELS.id] ?? '',
    podUid,
    name,
    attempt: attemptOf(info),
    startedAt: Date.parse(State.StartedAt),
    isRunning: State.Running,
    containerID: `docker://${info.Id}`,
  })
}

function isBegun({ State }: Docker.ContainerInfo): boolean {
  return State !== 'created'
}

function attemptOf({ Labels }: Docker.ContainerInfo): number {
  return Number(Labels[LABELS.attempt] ?? 0)
}
