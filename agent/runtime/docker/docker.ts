// The runtime of real nodes: a pod is a sandbox (a process that only waits, and holds the network and
// IPC namespaces) and containers that join it, on the machine's Docker Engine. Containers outlive the
// agent: their labels say whose they are, the next one goes on with them.

import type Docker from 'dockerode'
import type { Log } from '#shared/ports/log.ts'
import { StartRefused } from '../runtime.ts'
import type {
  Attachment,
  ContainerToStart,
  Exec,
  Exit,
  Image,
  LeftContainer,
  LogPosition,
  PodSandbox,
  PullOptions,
  Runtime,
  Usage,
} from '../runtime.ts'
import { fromDaemon, hasAnswered, isConflict, isNotFound, openEngine } from './engine.ts'
import { pingEngine, removeContainer, soon } from './engine.ts'
import { listenToEngine } from './events.ts'
import { readExit } from './exits.ts'
import { collectImages, engineDisk } from './image-gc.ts'
import { findEngineImage, listEngineImages, loadPauseImage, Puller } from './images.ts'
import type { NodeCredential } from './images.ts'
import { findLeft } from './left.ts'
import { followLogs } from './log-follower.ts'
import type { LogFollower } from './log-follower.ts'
import { oomFloor } from './oom-floor.ts'
import { Sandboxes } from './sandboxes.ts'
import { containerOptions } from './spec.ts'
import type { Here } from './spec.ts'
import { attachTo, execIn } from './streams.ts'
import { usageOf, writtenBytesOf } from './usage.ts'

export interface DockerRuntimeOptions {
  socketPath: string
  /** Tells this agent's containers from those of others on the same engine. */
  owner: string
  nodeCredential: NodeCredential
  /** Where this agent finds the machine's own files. */
  machineRoot: string
  log: Log
}

interface Running {
  container: Pick<ContainerToStart, 'id' | 'onOutput' | 'onExit'>
  engineId: string
  podUid: string
  name: string
  hasTty: boolean
  hasStdin: boolean
  stdinOnce: boolean
  hasBeenAttached: boolean
  stopSignal: string
  hasMemoryLimit: boolean
  logs: LogFollower
  isEnding: boolean
}

const PING_MS = 1800

/** Connects; rejects when the engine does not answer. */
export async function createDockerRuntime(options: DockerRuntimeOptions): Promise<Runtime> {
  const docker = openEngine(options.socketPath)
  const { Version } = await docker.version()
  await loadPauseImage(docker)
  return new DockerRuntime(docker, `docker://${Version}`, options)
}

class DockerRuntime implements Runtime {
  readonly version: string
  readonly isContained = true
  readonly #docker: Docker
  readonly #socketPath: string
  readonly #here: Here
  readonly #log: Log
  readonly #puller: Puller
  readonly #sandboxes: Sandboxes
  /** By our id. */
  readonly #running = new Map<string, Running>()
  /** The ended container of each that is kept for people to look at, by pod and name. */
  readonly #ended = new Map<string, string>()
  readonly #closing = new AbortController()
  #tellProblem: (reason: string, message: string) => void = () => undefined

  constructor(docker: Docker, version: string, options: DockerRuntimeOptions) {
    this.version = version
    this.#docker = docker
    this.#socketPath = options.socketPath
    this.#here = { owner: options.owner, oomFloor: oomFloor() }
    this.#log = options.log
    this.#puller = new Puller(docker, options.nodeCredential)
    this.#sandboxes = new Sandboxes(docker, this.#here)
    const listener = {
      onEnd: (engineId: string) => this.#onEnd(engineId),
      onOpen: () => void this.#lookAtAll(),
    }
    const { log, machineRoot } = options
    const disk = engineDisk(docker, machineRoot)
    const tell = (reason: string, message: string): void => this.#tellProblem(reason, message)
    collectImages({ docker, disk, log, tell, now: () => Date.now() }, this.#closing.signal)
    void listenToEngine(docker, options.owner, listener, options.log, this.#closing.signal)
  }

  /** The engine enforces what pods ask for. */
  notEnforced(): string[] {
    return []
  }

  findImage(reference: string): Promise<Image | undefined> {
    return findEngineImage(this.#docker, reference)
  }

  pullImage(reference: string, options: PullOptions): Promise<Image> {
    return this.#puller.pull(reference, options)
  }

  listImages(): Promise<Image[]> {
    return listEngineImages(this.#docker)
  }

  async startPod(sandbox: PodSandbox, onLost: () => void): Promise<{ pid?: number }> {
    return this.#sandboxes.start(sandbox, onLost)
  }

  async removePod(uid: string): Promise<void> {
    for (const [key] of this.#ended) if (key.startsWith(`${uid}/`)) this.#ended.delete(key)
    await this.#sandboxes.remove(uid)
  }

  async keepOnly(uids: ReadonlySet<string>): Promise<void> {
    await this.#sandboxes.keepOnly(uids)
  }

  async start(container: ContainerToStart): Promise<string> {
    const sandbox = this.#sandboxes.find(container.podUid)
    if (!sandbox) throw new StartRefused('RunContainerError', 'the sandbox of its pod has gone')
    const engineId = await this.#create(containerOptions(container, sandbox, this.#here))
    const found = findEngineImage(this.#docker, container.image.id).catch(() => undefined)
    try {
      await this.#docker.getContainer(engineId).start(soon())
    } catch (error) {
      await removeContainer(this.#docker, engineId).catch(() => undefined)
      throw startFailure(container.name, error)
    }
    this.#register({
      container,
      engineId,
      podUid: container.podUid,
      name: container.name,
      hasTty: container.hasTty,
      hasStdin: container.hasStdin,
      stdinOnce: container.stdinOnce,
      hasBeenAttached: false,
      stopSignal: (await found)?.stopSignal ?? 'SIGTERM',
      hasMemoryLimit: container.limits.memoryBytes !== undefined,
      from: { stdout: undefined, stderr: undefined },
    })
    // It may have ended before anybody knew of it.
    void this.#look(container.id)
    return `docker://${engineId}`
  }

  terminate(id: string): void {
    const running = this.#running.get(id)
    if (running) this.#signal(running, running.stopSignal)
  }

  kill(id: string): void {
    const running = this.#running.get(id)
    if (running) this.#signal(running, 'SIGKILL')
  }

  exec(id: string, argv: readonly string[], terminal = { hasTty: false }): Exec {
    const running = this.#running.get(id)
    if (!running) throw new Error(`container ${id} is not running`)
    return execIn(this.#docker.getContainer(running.engineId), argv, terminal.hasTty)
  }

  attach(id: string): Attachment | undefined {
    const running = this.#running.get(id)
    if (!running) return undefined
    const { hasTty, hasStdin, stdinOnce, hasBeenAttached } = running
    running.hasBeenAttached = true
    const fromStart = stdinOnce && !hasBeenAttached
    const handle = this.#docker.getContainer(running.engineId)
    return attachTo(handle, { hasTty, hasStdin, fromStart })
  }

  async usage(id: string): Promise<Usage | undefined> {
    const running = this.#running.get(id)
    return running && usageOf(this.#docker.getContainer(running.engineId))
  }

  async writtenBytes(id: string): Promise<number | undefined> {
    const running = this.#running.get(id)
    return running && writtenBytesOf(this.#docker.getContainer(running.engineId))
  }

  onProblem(tell: (reason: string, message: string) => void): void {
    this.#tellProblem = tell
  }

  async takeOver(): Promise<LeftContainer[]> {
    const found = await findLeft(this.#docker, this.#here.owner)
    for (const { uid, engineId } of found.sandboxes) this.#sandboxes.know(uid, engineId)
    for (const { podUid, name, engineId } of found.ended) {
      this.#ended.set(`${podUid}/${name}`, engineId)
    }
    return found.containers
  }

  async adopt(container: Running['container'], logged: LogPosition): Promise<void> {
    const [info] = await this.#docker.listContainers({
      all: true,
      filters: { label: [`dev.wherry.id=${container.id}`] },
    })
    if (!info) throw new Error(`container ${container.id} has gone`)
    const { Config, HostConfig, Image } = await this.#docker.getContainer(info.Id).inspect(soon())
    const image = await findEngineImage(this.#docker, Image).catch(() => undefined)
    this.#register({
      container,
      engineId: info.Id,
      podUid: info.Labels['io.kubernetes.pod.uid'] ?? '',
      name: info.Labels['io.kubernetes.container.name'] ?? '',
      hasTty: Config.Tty ?? false,
      hasStdin: Config.OpenStdin ?? false,
      stdinOnce: Config.StdinOnce ?? false,
      hasBeenAttached: true,
      stopSignal: image?.stopSignal ?? 'SIGTERM',
      hasMemoryLimit: (HostConfig.Memory ?? 0) > 0,
      from: logged,
    })
    void this.#look(container.id)
  }

  /** The machine's power goes with its engine. */
  cutPower(): void {}

  async ping(): Promise<void> {
    await pingEngine(this.#socketPath, PING_MS)
  }

  close(): void {
    this.#closing.abort()
    for (const { logs } of this.#running.values()) logs.stop()
  }

  async #create(options: Docker.ContainerCreateOptions): Promise<string> {
    try {
      const { id } = await this.#docker.createContainer(options)
      return id
    } catch (error) {
      throw new StartRefused('CreateContainerError', fromDaemon(error), { cause: error })
    }
  }

  #register(given: Omit<Running, 'logs' | 'isEnding'> & { from: LogPosition }): void {
    const { container, engineId, hasTty, from } = given
    const handle = this.#docker.getContainer(engineId)
    const onOutput = container.onOutput.bind(container)
    const logs = followLogs(handle, hasTty, from, onOutput)
    this.#running.set(container.id, { ...given, logs, isEnding: false })
  }

  #onEnd(engineId: string): void {
    for (const running of this.#running.values()) {
      if (running.engineId === engineId) void this.#settle(running)
    }
    this.#sandboxes.ended(engineId)
  }

  /** Sandboxes first: what ended with one must not be started before it is there again. */
  async #lookAtAll(): Promise<void> {
    await this.#sandboxes.lookAtAll()
    for (const id of this.#running.keys()) await this.#look(id)
  }

  /** Whether a container that should run does. */
  async #look(id: string): Promise<void> {
    const running = this.#running.get(id)
    if (!running) return
    try {
      const { State } = await this.#docker.getContainer(running.engineId).inspect(soon())
      if (!State.Running) await this.#settle(running)
    } catch (error) {
      if (isNotFound(error)) await this.#settle(running)
    }
  }

  async #settle(running: Running): Promise<void> {
    if (running.isEnding) return
    running.isEnding = true
    const { container, engineId, podUid, name, logs, hasMemoryLimit } = running
    await logs.finish()
    let exit: Exit
    try {
      exit = await readExit(this.#docker.getContainer(engineId), hasMemoryLimit)
    } catch (error) {
      if (hasAnswered(error)) this.#log.warn('an end could not be read', { error, engineId })
      // The engine is away; when it is back everything is looked at.
      running.isEnding = false
      return
    }
    if (!this.#running.delete(container.id)) return
    this.#keep(`${podUid}/${name}`, engineId)
    container.onExit(exit)
  }

  /** One ended container of each is kept. */
  #keep(key: string, engineId: string): void {
    const before = this.#ended.get(key)
    this.#ended.set(key, engineId)
    if (before === undefined || before === engineId) return
    removeContainer(this.#docker, before).catch((error: unknown) => {
      this.#log.warn('an ended container could not be removed', { error, engineId: before })
    })
  }

  #signal({ container, engineId }: Running, signal: string): void {
    this.#docker
      .getContainer(engineId)
      .kill({ signal, ...soon() })
      .catch((error: unknown) => {
        // It has ended: somebody may have to be told.
        if (isNotFound(error) || isConflict(error)) void this.#look(container.id)
        else this.#log.warn('a container could not be signalled', { error, engineId, signal })
      })
  }
}

/** A program that cannot be run is an end, not a refusal: as containerd, and the process runtime. */
function startFailure(name: string, error: unknown): StartRefused {
  const why = `failed to start container "${name}": ${fromDaemon(error)}`
  const isProgram = /OCI runtime create failed|runc create failed|executable file not found/.test(
    why,
  )
  const isJoin = /cannot join (network|IPC|PID) /i.test(why)
  const reason = isProgram && !isJoin ? 'StartError' : 'RunContainerError'
  return new StartRefused(reason, why, { cause: error })
}
