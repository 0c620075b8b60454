// What the agent asks of a container runtime. `process` (process.ts) runs a container as child
// processes of a local folder; Docker Engine goes behind the same interface.

/** What is known of an image once it is on the machine. */
export interface Image {
  /** As the pod names it, normalised: `docker.io/dlops/tic-tac-toe:latest`. */
  reference: string
  /** Changes with its content: `sha256:…`. */
  id: string
  sizeBytes: number
  entrypoint: readonly string[]
  cmd: readonly string[]
  env: Readonly<Record<string, string>>
  workdir: string | undefined
  /** TCP ports that it says it listens on. */
  ports: readonly number[]
}

/** A folder or file of the machine, seen by the container at `target`. */
export interface Mount {
  source: string
  target: string
  readOnly: boolean
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
  /** Normalised reference of an image that is present. */
  image: Image
  /** Entrypoint and arguments, variables already expanded. */
  argv: readonly string[]
  /** All of its environment but what the runtime itself adds. */
  env: Readonly<Record<string, string>>
  workdir: string | undefined
  mounts: readonly Mount[]
  limits: { memoryBytes?: number; cpuMillis?: number }
  /** Its standard input stays open for those who attach; without it is empty. */
  hasStdin: boolean
  /** Called with what it prints, in order. A promise: what comes next of that stream should wait. */
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<unknown> | undefined
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

export interface Exec {
  stdin: NodeJS.WritableStream
  stdout: NodeJS.ReadableStream
  stderr: NodeJS.ReadableStream
  /** The exit code, once it has ended and its output was read. */
  ended: Promise<number>
  kill(): void
}

export interface Usage {
  memoryBytes: number
  cpuNanos: number
}

export interface Runtime {
  /** nodeInfo.containerRuntimeVersion: `process://1.0`. */
  readonly version: string
  /** What it cannot do here, for people; asked once per pod: `cpu limit: …`. */
  notEnforced(container: Pick<ContainerToStart, 'limits'>): string[]
  /** The image if it is on this machine. */
  findImage(reference: string): Promise<Image | undefined>
  /** Fetches it. A rejection's message is shown to people (`Failed to pull image …`). */
  pullImage(reference: string): Promise<Image>
  listImages(): Promise<Image[]>
  /**
   * Makes what the pod's containers share, once: one that is there is taken over. `pid`: the process
   * whose network namespace is the pod's, as the agent sees it; undefined where there is none.
   * `onLost`: it has gone without removePod, its containers with it.
   */
  startPod(sandbox: PodSandbox, onLost: () => void): Promise<{ pid?: number }>
  /** Removes it and all that its containers left. Nothing happens when it is not there. */
  removePod(uid: string): Promise<void>
  /** Resolves when it runs. Its pod was started before. StartRefused: it cannot, and why. */
  start(container: ContainerToStart): Promise<void>
  /** To its main process only; nothing happens when it is gone. */
  terminate(id: string): void
  /** Kills all of its processes. */
  kill(id: string): void
  exec(id: string, argv: readonly string[]): Exec
  /** The standard input of a running container that was started with one. */
  stdinOf(id: string): NodeJS.WritableStream | undefined
  usage(id: string): Promise<Usage | undefined>
  /** Ends what an earlier agent left behind. */
  endLeftovers(): Promise<void>
  /** The power is cut: every process is killed before this returns. */
  cutPower(): void
  /** A round trip, for /healthz. */
  ping(): Promise<void>
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
