// What the agent asks of a container runtime. `process` (process.ts) runs a container as child
// processes of a local folder, `docker` (docker/docker.ts) on a Docker Engine.

import type { Readable } from 'node:stream'
import type { Credential } from './credential.ts'

/** What is known of an image once it is on the machine. */
export interface Image {
  /** As the pod names it, normalised: `docker.io/dlops/tic-tac-toe:latest`. */
  reference: string
  /** Changes with its content: `sha256:…`. */
  id: string
  /** The name by which a registry gives just this one: `docker.io/library/web@sha256:…`. */
  digest: string | undefined
  sizeBytes: number
  entrypoint: readonly string[]
  cmd: readonly string[]
  env: Readonly<Record<string, string>>
  workdir: string | undefined
  /** `1000`, `app`, `1000:1000`; empty: root. */
  user: string
  /** TCP ports that it says it listens on. */
  ports: readonly number[]
}

/** A folder or file of the machine, seen by the container at `target`. */
export interface Mount {
  source: string
  target: string
  readOnly: boolean
  /** Kubernetes' names; undefined: None. */
  propagation?: 'HostToContainer' | 'Bidirectional'
}

/** Under which user and with which rights a container runs. */
export interface Security {
  runAsUser: number | undefined
  runAsGroup: number | undefined
  supplementalGroups: readonly number[]
  addCapabilities: readonly string[]
  dropCapabilities: readonly string[]
  isPrivileged: boolean
  isRootReadOnly: boolean
  /** allowPrivilegeEscalation: false. */
  noNewPrivileges: boolean
  seccomp: 'RuntimeDefault' | 'Unconfined'
  /** procMount: Unmasked. */
  isProcUnmasked: boolean
}

/** What the containers of a pod share. */
export interface PodSandbox {
  uid: string
  namespace: string
  name: string
  hostname: string
  labels: Readonly<Record<string, string>>
  hostNetwork: boolean
  hostPID: boolean
  hostIPC: boolean
  shareProcessNamespace: boolean
  /** `net.core.somaxconn` → its value. */
  sysctls: Readonly<Record<string, string>>
}

export interface ContainerToStart {
  /** Unique among all containers of all pods and restarts, e.g. a hash. */
  id: string
  podUid: string
  /** As the pod calls it. */
  name: string
  /** Which start of the pod's container of that name this is, from 0. */
  attempt: number
  /** Normalised reference of an image that is present. */
  image: Image
  /** Entrypoint and arguments, variables already expanded. */
  argv: readonly string[]
  /** All of its environment but what the runtime itself adds. */
  env: Readonly<Record<string, string>>
  workdir: string | undefined
  mounts: readonly Mount[]
  limits: { memoryBytes?: number; cpuMillis?: number }
  requests: { cpuMillis?: number }
  /** -1000 … 1000: who is killed first when the node has no memory left. */
  oomScoreAdjust: number
  security: Security
  /** Its standard input stays open for those who attach; without it is empty. */
  hasStdin: boolean
  /** The input ends with the first client that attaches. */
  stdinOnce: boolean
  hasTty: boolean
  /**
   * Called with what it prints, in order. `time` (RFC 3339, nanoseconds): the runtime keeps what was
   * printed, the chunk is one line of it or a part of one, and this is when.
   */
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer, time?: string): void
  /** Called once, after its last output, when none of its processes is left. */
  onExit(exit: Exit): void
}

export interface Exit {
  exitCode: number
  /** Completed, Error, OOMKilled, StartError, Unknown. */
  reason: string
  message?: string
  startedAt: number
  finishedAt: number
  containerID: string
}

/** A container that an earlier agent started, and that adopt() takes over. */
export interface LeftContainer {
  id: string
  podUid: string
  name: string
  attempt: number
  startedAt: number
  isRunning: boolean
  /** As statuses call it. */
  containerID: string
}

/** The times of the last lines that were seen of a container's output; undefined: none. */
export interface LogPosition {
  stdout: string | undefined
  stderr: string | undefined
}

export interface TerminalSize {
  columns: number
  rows: number
}

export interface Exec {
  stdin: NodeJS.WritableStream
  stdout: NodeJS.ReadableStream
  stderr: NodeJS.ReadableStream
  /** The exit code, once it has ended and its output was read. */
  ended: Promise<number>
  kill(): void
  resize(size: TerminalSize): void
}

/** Somebody who sees what a running container prints. */
export interface Attachment {
  stdout: Readable
  stderr: Readable
  /** The container's input; undefined: it was started without one. */
  stdin: NodeJS.WritableStream | undefined
  /** It was too slow, and got no more. */
  wasCutOff(): boolean
  leave(): void
  resize(size: TerminalSize): void
}

export interface PullOptions {
  /** Tried in this order; none: as anybody. */
  credentials: readonly Credential[]
  /** How far it is, in bytes; called often. */
  onProgress(doneBytes: number, totalBytes: number): void
}

export interface Usage {
  memoryBytes: number
  cpuNanos: number
}

export interface Runtime {
  /** nodeInfo.containerRuntimeVersion: `process://1.0`. */
  readonly version: string
  /**
   * True: containers have a file system, users and a terminal of their own. False: they share the
   * machine's.
   */
  readonly isContained: boolean
  /** What it cannot do here, for people; asked once per pod: `cpu limit: …`. */
  notEnforced(container: Pick<ContainerToStart, 'limits'>): string[]
  /** The image if it is on this machine. */
  findImage(reference: string): Promise<Image | undefined>
  /** Fetches it. A rejection's message is shown to people (`Failed to pull image …`). */
  pullImage(reference: string, options: PullOptions): Promise<Image>
  listImages(): Promise<Image[]>
  /**
   * Makes what the pod's containers share, once: one that is there is taken over. `pid`: the process
   * whose network namespace is the pod's, as the agent sees it; undefined where there is none.
   * `onLost`: it has gone without removePod, its containers with it.
   */
  startPod(sandbox: PodSandbox, onLost: () => void): Promise<{ pid?: number }>
  /** Removes it and all that its containers left. Nothing happens when it is not there. */
  removePod(uid: string): Promise<void>
  /** Removes every pod that is not one of these. */
  keepOnly(uids: ReadonlySet<string>): Promise<void>
  /**
   * Resolves when it runs, with the name that statuses call it by (`docker://…`). Its pod was started
   * before. StartRefused: it cannot, and why.
   */
  start(container: ContainerToStart): Promise<string>
  /** To its main process only; nothing happens when it is gone. */
  terminate(id: string): void
  /** Kills all of its processes. */
  kill(id: string): void
  exec(id: string, argv: readonly string[], terminal?: { hasTty: boolean }): Exec
  /** What a running container prints from now on; for a stdinOnce container from its start. */
  attach(id: string): Attachment | undefined
  usage(id: string): Promise<Usage | undefined>
  /** Bytes on the disk that a running container has written beside its image; undefined: not known. */
  writtenBytes(id: string): Promise<number | undefined>
  /** Whom to tell what people should know of the runtime: an event of the node. */
  onProblem(tell: (reason: string, message: string) => void): void
  /**
   * What an earlier agent left behind: containers to adopt, running or ended. A runtime whose
   * containers cannot be adopted ends them and answers none. Asked once, before anything else.
   */
  takeOver(): Promise<LeftContainer[]>
  /** Goes on with a container of takeOver(), from this position of its output. */
  adopt(
    container: Pick<ContainerToStart, 'id' | 'onOutput' | 'onExit'>,
    logged: LogPosition,
  ): Promise<void>
  /** The power is cut: every process is killed before this returns. */
  cutPower(): void
  /** A round trip, for /healthz. */
  ping(): Promise<void>
  /** Lets go of containers that outlive the agent. */
  close(): void
}

/** A container that cannot be started as its pod asks. Shown as the container's waiting reason. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
  /** CreateContainerConfigError, CreateContainerError, ErrImagePull, ErrImageNeverPull … */
  readonly reason: string

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** Docker's short names in full: `web` → `docker.io/library/web:latest`. Undefined: not a name. */
export function normaliseImage(reference: string): string | undefined {
  if (!/^[a-zA-Z0-9][\w.\-/:@]*$/.test(reference)) return undefined
  const [name = '', digest] = reference.split('@')
  const slash = name.indexOf('/')
  const head = slash < 0 ? '' : name.slice(0, slash)
  const hasHost = head.includes('.') || head.includes(':') || head === 'localhost'
  const host = hasHost ? head : 'docker.io'
  const rest = hasHost ? name.slice(slash + 1) : slash < 0 ? `library/${name}` : name
  const colon = rest.lastIndexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? 'latest' : rest.slice(colon + 1)
  if (!/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/.test(path)) {
    return undefined
  }
  if (!/^\w[\w.-]{0,127}$/.test(tag)) return undefined
  return digest ? `${host}/${path}@${digest}` : `${host}/${path}:${tag}`
}
