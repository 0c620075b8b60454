// Runs the containers of one pod: starts, probes, hooks, stops, and what is written into the record
// and said in events about it. When to do what is the plan's business; after each step `onChange` is
// called so that the plan is asked again.

import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container, Probe } from '#shared/api/pod.ts'
import { openLog } from '../logs/log-file.ts'
import type { LogFile } from '../logs/log-file.ts'
import { lastLines } from '../logs/last-lines.ts'
import { StartRefused } from '../runtime/runtime.ts'
import type { Exec, Exit, Image } from '../runtime/runtime.ts'
import { nextTryAt, NO_BACK_OFF, raise } from './back-off.ts'
import type { CheckTarget } from './check.ts'
import { eventsOfRefusal } from './container-events.ts'
import type { PodFacts } from './downward.ts'
import { runPostStart, runPreStop } from './hooks.ts'
import type { NodeContext } from './node-context.ts'
import { restartAt } from './plan.ts'
import { prepareContainer, resolveImage } from './prepare.ts'
import type { Announce } from './prepare.ts'
import { startProbes } from './prober.ts'
import { specOf } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'
import { createTap } from './tap.ts'
import type { Attached, Tap } from './tap.ts'
import { createWords } from './words.ts'

/** What belongs to one run of a container. */
interface Run {
  id: string
  image: Image
  log: LogFile
  tap: Tap
  /** Its $PORT: where one that declares no port listens. */
  port: number
  stopProbes: () => void
  /** Resolves when it has exited. */
  ended: Promise<void>
  /** Cuts a termination under way short. */
  hurry: (graceSeconds: number) => void
}

export interface Attachment {
  client: Attached
  stdin: NodeJS.WritableStream | undefined
  /** The client has no more to type: the end for the container too, if the pod says stdinOnce. */
  endStdin(): void
}

export interface ContainersOptions {
  record: PodRecord
  node: NodeContext
  onChange: () => void
  event: (type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string) => void
}

export class PodContainers {
  readonly #record: PodRecord
  readonly #node: NodeContext
  readonly #onChange: () => void
  readonly #event: ContainersOptions['event']
  readonly #runs = new Map<string, Run>()
  readonly words = createWords()

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
      const image = await resolveImage(spec, this.#node, announce)
      const attempt = container.starts
      const toStart = await prepareContainer(this.facts(), spec, image, attempt, this.#node)
      const output = (log = this.#openLog(name, attempt))
      announce('Normal', 'Created', `Created container: ${name}`)
      const tap = createTap({ keepsEarly: spec.stdinOnce ?? false })
      const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>()
      const run: Run = {
        id: toStart.id,
        image,
        log,
        tap,
        port: Number(toStart.env['PORT']),
        stopProbes: () => undefined,
        ended,
        hurry: () => undefined,
      }
      await this.#node.runtime.start({
        ...toStart,
        onOutput: (stream, chunk) => {
          output.append(stream, chunk)
          return tap.append(stream, chunk)
        },
        onExit: (exit) => {
          // The runtime may tell of a quick end before start() has come back.
          setImmediate(() => {
            this.#exited(container, run, exit)
            onEnd()
          })
        },
      })
      this.#runs.set(name, run)
      this.#started(container, spec, run)
    } catch (error) {
      log?.close()
      this.#refused(container, error)
    }
    this.#onChange()
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
      const preStop = runPreStop(spec, this.#target(spec, run), graceSeconds)
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

  exec(name: string, argv: readonly string[]): Exec | undefined {
    const run = this.#runs.get(name)
    return run && this.#node.runtime.exec(run.id, argv)
  }

  /** What it prints from now on, and its standard input if the pod wants it to have one. */
  attach(name: string): Attachment | undefined {
    const run = this.#runs.get(name)
    if (!run) return undefined
    const stdin = this.#node.runtime.stdinOf(run.id)
    const isOnce = specOf(this.#record.pod, name).stdinOnce ?? false
    const client = run.tap.attach()
    return {
      client,
      stdin,
      endStdin: () => void (isOnce && stdin?.end()),
    }
  }

  running(): { name: string; id: string }[] {
    return [...this.#runs].map(([name, { id }]) => ({ name, id }))
  }

  facts(): PodFacts {
    const { allocatable, hostIP } = this.#node
    return { pod: this.#record.pod, podIP: this.#record.podIP ?? '', hostIP, allocatable }
  }

  #started(container: ContainerRecord, spec: Container, run: Run): void {
    const now = this.#node.now()
    this.#countCrash(container, now)
    container.exit = undefined
    Object.assign(container, {
      step: 'running',
      waiting: undefined,
      retryAt: undefined,
      refusals: NO_BACK_OFF,
      imageID: run.image.id,
      containerID: `${this.#node.runtime.version.split(':')[0]}://${run.id}`,
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
    const target = this.#target(spec, run)
    const failure = await runPostStart(spec, target)
    if (failure) {
      announce('Warning', 'FailedPostStartHook', failure)
      this.#condemn(container, run, this.#grace(), 'FailedPostStartHook')
      return
    }
    if (this.#runs.get(container.name) !== run || container.step !== 'running') return
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

  #exited(container: ContainerRecord, run: Run, exit: Exit): void {
    run.stopProbes()
    run.log.close()
    run.tap.end()
    if (this.#runs.get(container.name) === run) this.#runs.delete(container.name)
    const spec = specOf(this.#record.pod, container.name)
    const path = this.#logPath(container.name, container.starts - 1)
    const wantsLog =
      spec.terminationMessagePolicy === 'FallbackToLogsOnError' && exit.exitCode !== 0
    const message = wantsLog ? lastLines(path) : ''
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

  #target(spec: Container, run: Run): CheckTarget {
    const podIP = this.#record.podIP ?? ''
    const declared = this.#record.pod.spec.containers.flatMap(({ ports }) => ports ?? [])
    const hasNone = !spec.ports?.length && run.image.ports.length === 0
    return {
      podIP,
      locate: (port) =>
        this.#node.network.locate(podIP, port) ??
        // One that declares nothing listens on its $PORT, whatever a probe calls it.
        (hasNone ? { host: '127.0.0.1', port: run.port } : undefined),
      portNumber: (port) => {
        if (typeof port === 'number') return port
        const named = [...(spec.ports ?? []), ...declared].find(({ name }) => name === port)
        return named?.containerPort ?? (Number(port) || undefined)
      },
      exec: (argv) => this.#node.runtime.exec(run.id, argv),
    }
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

  #openLog(name: string, number: number): LogFile {
    // The present run and the one before are kept, as kubelet does.
    for (const end of ['', '.1', '.2', '.3', '.4']) {
      void rm(`${this.#logPath(name, number - 2)}${end}`, { force: true })
    }
    return openLog(this.#logPath(name, number), () => this.#node.now())
  }

  #logPath(name: string, number: number): string {
    return join(this.#node.stateDir, 'pods', this.#record.pod.metadata.uid, name, `${number}.log`)
  }
}
