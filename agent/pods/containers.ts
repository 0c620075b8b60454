// Runs the containers of one pod: starts, probes, hooks, stops, and what is written into the record
// and said in events about it. When to do what is the plan's business; after each step `onChange` is
// called so that the plan is asked again.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Container, Probe } from '#shared/api/pod.ts'
import type { LogFile } from '../logs/log-file.ts'
import { lastLines } from '../logs/last-lines.ts'
import { positionOf } from '../logs/log-position.ts'
import { StartRefused } from '../runtime/runtime.ts'
import type {
  Attachment,
  ContainerToStart,
  Exec,
  Exit,
  Image,
  LeftContainer,
} from '../runtime/runtime.ts'
import { nextTryAt, NO_BACK_OFF, raise } from './back-off.ts'
import { eventsOfRefusal } from './container-events.ts'
import type { PodFacts } from './downward.ts'
import { runPostStart, runPreStop } from './hooks.ts'
import type { NodeContext } from './node-context.ts'
import { restartAt } from './plan.ts'
import { resolveImage } from './image-pull.ts'
import type { Announce } from './image-pull.ts'
import { terminationFile } from './mounts.ts'
import { prepareContainer } from './prepare.ts'
import { startProbes } from './prober.ts'
import { specOf } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'
import { logPath, newRun, openRunLog, targetOf } from './run.ts'
import type { Run } from './run.ts'
import type { MadeVolume } from './volume-kinds.ts'
import { createWords } from './words.ts'

/** Somebody at a container, and what becomes of its input when they have no more to type. */
export interface PodAttachment extends Attachment {
  /** The end for the container too, if the pod says stdinOnce. */
  endStdin(): void
}

export interface ContainersOptions {
  record: PodRecord
  node: NodeContext
  onChange: () => void
  event: (type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string) => void
}

/** As much of a termination message as Kubernetes keeps of one container. */
const MESSAGE_BYTES_MAX = 4096

export class PodContainers {
  readonly #record: PodRecord
  readonly #node: NodeContext
  readonly #onChange: () => void
  readonly #event: ContainersOptions['event']
  readonly #runs = new Map<string, Run>()
  readonly words = createWords()
  /** The pod's volumes by name, once it is set up. */
  volumes: ReadonlyMap<string, MadeVolume> = new Map()

  constructor({ record, node, onChange, event }: ContainersOptions) {
    this.#record = record
    this.#node = node
    this.#onChange = onChange
    this.#event = event
  }

  async start(name: string): Promise<void> {
    const container = this.#container(name)
    container.step = 'starting'
    const spec = specOf(this.#record.pod, name)
    const announce = this.#announcer(container)
    let log: LogFile | undefined
    try {
      const { pod } = this.#record
      const image = await resolveImage(pod, spec, this.#node, announce)
      const attempt = container.starts
      const toStart = await prepareContainer(
        this.facts(),
        spec,
        image,
        attempt,
        this.#node,
        this.volumes,
      )
      log = openRunLog(this.#node, pod.metadata.uid, name, attempt)
      announce('Normal', 'Created', `Created container: ${name}`)
      const hasPorts = spec.ports?.length || image.ports.length > 0
      const port = hasPorts ? undefined : Number(toStart.env['PORT']) || undefined
      const run = newRun(toStart.id, log, port)
      const containerID = await this.#node.runtime.start({
        ...toStart,
        ...this.#ears(container, run),
      })
      this.#runs.set(name, run)
      this.#started(container, spec, run, { image, containerID })
    } catch (error) {
      log?.close()
      this.#refused(container, error)
    }
    this.#onChange()
  }

  /** Goes on with a container that an earlier agent started: its record says that it runs. */
  async adopt({ id, name, attempt, isRunning }: LeftContainer): Promise<void> {
    const container = this.#container(name)
    const spec = specOf(this.#record.pod, name)
    const { uid } = this.#record.pod.metadata
    const position = positionOf(logPath(this.#node.stateDir, uid, name, attempt))
    const run = newRun(id, openRunLog(this.#node, uid, name, attempt), undefined)
    this.#runs.set(name, run)
    await this.#node.runtime.adopt({ id, ...this.#ears(container, run) }, position)
    if (isRunning) this.#startProbes(container, spec, run)
  }

  /** SIGTERM after the preStop hook; SIGKILL `graceSeconds` after now. Resolves when it has ended. */
  async stop(name: string, graceSeconds: number, why: string): Promise<void> {
    const container = this.#container(name)
    const run = this.#runs.get(name)
    if (!run || container.step !== 'running') return
    container.step = 'stopping'
    run.stopProbes()
    this.#announcer(container)('Normal', 'Killing', why || `Stopping container ${name}`)
    const kill = (): void => this.#node.runtime.kill(run.id)
    let timer = setTimeout(kill, graceSeconds * 1000)
    run.hurry = (seconds) => {
      clearTimeout(timer)
      timer = setTimeout(kill, seconds * 1000)
    }
    if (graceSeconds > 0) {
      const spec = specOf(this.#record.pod, name)
      const target = targetOf(this.#record, spec, run, this.#node)
      const preStop = runPreStop(spec, target, graceSeconds)
      const failure = await Promise.race([preStop, run.ended.then(() => undefined)])
      if (failure) this.#announcer(container)('Warning', 'FailedPreStopHook', failure)
      this.#node.runtime.terminate(run.id)
    }
    await run.ended
    clearTimeout(timer)
  }

  /** The grace of stops under way is shorter now. */
  hurry(graceSeconds: number): void {
    for (const run of this.#runs.values()) run.hurry(graceSeconds)
  }

  async stopAll(graceSeconds: number): Promise<void> {
    await Promise.all([...this.#runs.keys()].map((name) => this.stop(name, graceSeconds, '')))
  }

  /** What they shared has gone: they go, too. Resolves when all have ended. */
  async killAll(): Promise<void> {
    await Promise.all(
      [...this.#runs.values()].map((run) => {
        this.#node.runtime.kill(run.id)
        return run.ended
      }),
    )
  }

  /**
   * The log of a container's present or last run, or of the one before it. One that waits to be started
   * again has its last run behind it: as in its status, that is the previous one.
   */
  logOf(
    name: string,
    isPrevious: boolean,
  ): { path: string; live: LogFile | undefined } | undefined {
    const container = this.#record.containers.find((each) => each.name === name)
    if (!container) return undefined
    const run = this.#runs.get(name)
    const isOver = container.step === 'exited' && restartAt(this.#record, container) !== undefined
    const number = container.starts - (isPrevious && !isOver ? 2 : 1)
    const path = this.#logPath(name, number)
    if (number < 0 || !existsSync(path)) return undefined
    return { path, live: isPrevious ? undefined : run?.log }
  }

  exec(name: string, argv: readonly string[], terminal: { hasTty: boolean }): Exec | undefined {
    const run = this.#runs.get(name)
    return run && this.#node.runtime.exec(run.id, argv, terminal)
  }

  /** What it prints from now on, and its standard input if the pod wants it to have one. */
  attach(name: string): PodAttachment | undefined {
    const run = this.#runs.get(name)
    const attachment = run && this.#node.runtime.attach(run.id)
    if (!attachment) return undefined
    const isOnce = specOf(this.#record.pod, name).stdinOnce ?? false
    return { ...attachment, endStdin: () => void (isOnce && attachment.stdin?.end()) }
  }

  running(): { name: string; id: string }[] {
    return [...this.#runs].map(([name, { id }]) => ({ name, id }))
  }

  facts(): PodFacts {
    const { allocatable, hostIP } = this.#node
    return { pod: this.#record.pod, podIP: this.#record.podIP ?? '', hostIP, allocatable }
  }

  /** What the runtime calls. */
  #ears(container: ContainerRecord, run: Run): Pick<ContainerToStart, 'onOutput' | 'onExit'> {
    return {
      onOutput: (stream, chunk, time) => run.log.append(stream, chunk, time),
      onExit: (exit) => {
        // The runtime may tell of a quick end before start() has come back.
        setImmediate(() => void this.#exited(container, run, exit).finally(run.onEnd))
      },
    }
  }

  #started(
    container: ContainerRecord,
    spec: Container,
    run: Run,
    { image, containerID }: { image: Image; containerID: string },
  ): void {
    const now = this.#node.now()
    this.#countCrash(container, now)
    container.exit = undefined
    Object.assign(container, {
      step: 'running',
      waiting: undefined,
      retryAt: undefined,
      refusals: NO_BACK_OFF,
      imageID: image.digest ?? image.id,
      containerID,
      startedAt: now,
      starts: container.starts + 1,
      condemned: undefined,
      isStarted: !spec.startupProbe,
      isReady: !spec.readinessProbe,
      isSettling: (spec.startupProbe ?? spec.readinessProbe) !== undefined,
    } satisfies Partial<ContainerRecord>)
    this.#announcer(container)('Normal', 'Started', `Started container ${container.name}`)
    void this.#watch(container, spec, run)
  }

  /** postStart first: probes wait for it. */
  async #watch(container: ContainerRecord, spec: Container, run: Run): Promise<void> {
    const announce = this.#announcer(container)
    const target = targetOf(this.#record, spec, run, this.#node)
    const failure = await runPostStart(spec, target)
    if (failure) {
      announce('Warning', 'FailedPostStartHook', failure)
      this.#condemn(container, run, this.#grace(), 'FailedPostStartHook')
      return
    }
    if (this.#runs.get(container.name) !== run || container.step !== 'running') return
    this.#startProbes(container, spec, run)
  }

  #startProbes(container: ContainerRecord, spec: Container, run: Run): void {
    const announce = this.#announcer(container)
    const target = targetOf(this.#record, spec, run, this.#node)
    run.stopProbes = startProbes(spec, target, {
      onStarted: () => this.#learn(run, container, { isStarted: true }),
      onReady: (isReady) => this.#learn(run, container, { isReady }),
      onSettled: () => this.#learn(run, container, { isSettling: false }),
      onFailure: (message) => announce('Warning', 'Unhealthy', message),
      onDead: (kind, probe) => this.#dead(container, run, kind, probe),
    })
  }

  #learn(
    run: Run,
    container: ContainerRecord,
    news: Partial<Pick<ContainerRecord, 'isStarted' | 'isReady' | 'isSettling'>>,
  ): void {
    if (this.#runs.get(container.name) !== run || container.step !== 'running') return
    const isNew =
      (news.isStarted ?? container.isStarted) !== container.isStarted ||
      (news.isReady ?? container.isReady) !== container.isReady ||
      (news.isSettling ?? container.isSettling) !== container.isSettling
    if (!isNew) return
    Object.assign(container, news)
    this.#onChange()
  }

  #dead(container: ContainerRecord, run: Run, kind: 'liveness' | 'startup', probe: Probe): void {
    const why = `Container ${container.name} failed ${kind} probe, will be restarted`
    this.#condemn(container, run, probe.terminationGracePeriodSeconds ?? this.#grace(), why)
  }

  #condemn(container: ContainerRecord, run: Run, graceSeconds: number, why: string): void {
    if (this.#runs.get(container.name) !== run) return
    container.condemned = { graceSeconds, why }
    this.#onChange()
  }

  #refused(container: ContainerRecord, error: unknown): void {
    const now = this.#node.now()
    const reason = error instanceof StartRefused ? error.reason : 'CreateContainerError'
    const message = error instanceof Error ? error.message : String(error)
    const announce = this.#announcer(container)
    if (!(error instanceof StartRefused)) {
      this.#node.log.error('a container could not be started', { error, container: container.name })
    }
    if (reason === 'StartError') {
      // As containerd: a program that cannot be run is a container that ended at once.
      announce('Warning', 'Failed', `Error: ${message}`)
      this.#countCrash(container, now)
      container.exit = {
        exitCode: 128,
        reason,
        message,
        startedAt: now,
        finishedAt: now,
        containerID: '',
      }
      container.step = 'exited'
      container.starts++
      return
    }
    container.refusals = raise(container.refusals, now, now)
    container.retryAt = now + container.refusals.ms
    container.waiting = { reason, message }
    container.step = container.exit ? 'exited' : 'idle'
    const image = specOf(this.#record.pod, container.name).image ?? ''
    for (const event of eventsOfRefusal(image, reason, message)) {
      announce('Warning', event.reason, event.message)
    }
  }

  /** One more start after an end: the back-off grows, and the end becomes the last one. */
  #countCrash(container: ContainerRecord, now: number): void {
    if (!container.exit) return
    container.crashes = raise(container.crashes, container.exit.finishedAt, now)
    container.lastExit = container.exit
  }

  async #exited(container: ContainerRecord, run: Run, exit: Exit): Promise<void> {
    run.stopProbes()
    run.log.close()
    const message = await this.#lastWords(container, exit)
    // Its postStart hook may have come back meanwhile.
    run.stopProbes()
    if (this.#runs.get(container.name) === run) this.#runs.delete(container.name)
    const path = this.#logPath(container.name, container.starts - 1)
    Object.assign(container, {
      step: 'exited',
      exit: message ? { ...exit, message } : exit,
      isReady: false,
      isStarted: false,
      isSettling: false,
    } satisfies Partial<ContainerRecord>)
    this.words.keep(this.#record, container, exit, path)
    const due = this.#record.leaving ? undefined : restartAt(this.#record, container)
    const isDelayed = nextTryAt(container.crashes, exit.finishedAt) > this.#node.now()
    if (due !== undefined && isDelayed) {
      const { name, namespace, uid } = this.#record.pod.metadata
      const what = `Back-off restarting failed container ${container.name}`
      this.#announcer(container)(
        'Warning',
        'BackOff',
        `${what} in pod ${name}_${namespace}(${uid})`,
      )
    }
    this.#onChange()
  }

  /** The termination message: the file the container wrote, or the end of its log if the pod says so. */
  async #lastWords({ name, starts }: ContainerRecord, { exitCode }: Exit): Promise<string> {
    const { stateDir } = this.#node
    const { pod } = this.#record
    const { uid } = pod.metadata
    const file = terminationFile(stateDir, uid, name, starts - 1)
    const written = await readFile(file).catch(() => Buffer.alloc(0))
    if (written.length > 0) return written.subarray(0, MESSAGE_BYTES_MAX).toString()
    const { terminationMessagePolicy } = specOf(pod, name)
    const wantsLog = terminationMessagePolicy === 'FallbackToLogsOnError' && exitCode !== 0
    return wantsLog ? lastLines(this.#logPath(name, starts - 1)) : ''
  }

  #container(name: string): ContainerRecord {
    const found = this.#record.containers.find((each) => each.name === name)
    if (!found) throw new Error(`no container ${name}`)
    return found
  }

  #grace(): number {
    return this.#record.pod.spec.terminationGracePeriodSeconds ?? 30
  }

  #announcer(container: ContainerRecord): Announce {
    const list = container.kind === 'main' ? 'containers' : 'initContainers'
    const fieldPath = `spec.${list}{${container.name}}`
    return (type, reason, message) => this.#event(type, reason, message, fieldPath)
  }
  #logPath(name: string, number: number): string {
    return logPath(this.#node.stateDir, this.#record.pod.metadata.uid, name, number)
  }
}
