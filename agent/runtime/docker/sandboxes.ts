// The sandboxes of this node's pods on the engine.

import type Docker from 'dockerode'
import type { PodSandbox } from '../runtime.ts'
import { isNotFound, LABELS, removeContainer, SANDBOX, soon } from './engine.ts'
import { loadPauseImage } from './images.ts'
import { sandboxOptions } from './spec.ts'
import type { Here } from './spec.ts'

interface Known {
  engineId: string
  /** Undefined: an earlier agent's that nobody has asked for yet. */
  pod: PodSandbox | undefined
  onLost: () => void
}

export class Sandboxes {
  readonly #docker: Docker
  readonly #here: Here
  readonly #known = new Map<string, Known>()

  constructor(docker: Docker, here: Here) {
    this.#docker = docker
    this.#here = here
  }

  /** An earlier agent's. */
  know(uid: string, engineId: string): void {
    this.#known.set(uid, { engineId, pod: undefined, onLost: () => undefined })
  }

  /** One that was started by this agent, or taken over. */
  find(uid: string): { pod: PodSandbox; engineId: string } | undefined {
    const known = this.#known.get(uid)
    return known?.pod && { pod: known.pod, engineId: known.engineId }
  }

  /** Makes it, or takes over the one that runs. */
  async start(pod: PodSandbox, onLost: () => void): Promise<{ pid?: number }> {
    const before = this.#known.get(pod.uid)
    const pid = before && (await this.#pidOf(before.engineId))
    if (before && pid) {
      this.#known.set(pod.uid, { engineId: before.engineId, pod, onLost })
      return { pid }
    }
    this.#known.delete(pod.uid)
    if (before) await this.#clear(pod.uid, before.engineId)
    const engineId = await this.#create(pod)
    await this.#docker.getContainer(engineId).start(soon())
    this.#known.set(pod.uid, { engineId, pod, onLost })
    const made = await this.#pidOf(engineId)
    if (!made) throw new Error('the sandbox ended at once')
    return { pid: made }
  }

  /** Removes it and all containers of the pod. */
  async remove(uid: string): Promise<void> {
    this.#known.delete(uid)
    const all = await this.#listOf(`${LABELS.podUid}=${uid}`)
    const isSandbox = (info: Docker.ContainerInfo): boolean => info.Labels[LABELS.type] === SANDBOX
    const containers = all.filter((info) => !isSandbox(info))
    await Promise.all(containers.map(({ Id }) => removeContainer(this.#docker, Id)))
    for (const { Id } of all.filter(isSandbox)) await removeContainer(this.#docker, Id)
  }

  /** Removes the pods that are not among these. */
  async keepOnly(uids: ReadonlySet<string>): Promise<void> {
    const all = await this.#listOf()
    const strangers = new Set(
      all.map(({ Labels }) => Labels[LABELS.podUid] ?? '').filter((uid) => !uids.has(uid)),
    )
    for (const uid of strangers) await this.remove(uid)
  }

  /** A container has ended, perhaps one of these. */
  ended(engineId: string): void {
    for (const [uid, known] of this.#known) {
      if (known.engineId === engineId) this.#lost(uid, known)
    }
  }

  /** Which of them have ended unseen. */
  async lookAtAll(): Promise<void> {
    for (const [uid, known] of this.#known) {
      const pid = await this.#pidOf(known.engineId).catch(() => undefined)
      if (pid === 0 && this.#known.get(uid) === known) this.#lost(uid, known)
    }
  }

  #lost(uid: string, known: Known): void {
    // Still known: what is left of it is cleared before the next one is made.
    this.#known.set(uid, { ...known, pod: undefined, onLost: () => undefined })
    known.onLost()
  }

  /** 0: it does not run. Rejects when the engine does not answer. */
  async #pidOf(engineId: string): Promise<number> {
    try {
      const { State } = await this.#docker.getContainer(engineId).inspect(soon())
      return State.Running ? State.Pid : 0
    } catch (error) {
      if (isNotFound(error)) return 0
      throw error
    }
  }

  /** Ends containers that outlived their sandbox: their network leads nowhere. */
  async #clear(uid: string, engineId: string): Promise<void> {
    for (const info of await this.#listOf(`${LABELS.podUid}=${uid}`)) {
      if (info.Labels[LABELS.type] === SANDBOX || info.State !== 'running') continue
      const { Id } = info
      await this.#docker
        .getContainer(Id)
        .kill(soon())
        .catch(() => undefined)
    }
    await removeContainer(this.#docker, engineId)
  }

  async #create(pod: PodSandbox): Promise<string> {
    const options = sandboxOptions(pod, this.#here)
    try {
      return (await this.#docker.createContainer(options)).id
    } catch (error) {
      if (!isNotFound(error)) throw error
      // Somebody has tidied the images up.
      await loadPauseImage(this.#docker)
      return (await this.#docker.createContainer(options)).id
    }
  }

  #listOf(...labels: string[]): Promise<Docker.ContainerInfo[]> {
    return this.#docker.listContainers({
      all: true,
      filters: { label: [`${LABELS.owner}=${this.#here.owner}`, ...labels] },
      ...soon(),
    })
  }
}
