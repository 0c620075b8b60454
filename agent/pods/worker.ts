// Carries out the plan of one pod (plan.ts). Everything that happens to a pod ends in #next(), which
// asks the plan again; steps under way are marked in the record before the first await, so nothing is
// done twice.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod, PodStatus } from '#shared/api/pod.ts'
import type { LogFile } from '../logs/log-file.ts'
import type { Exec, LeftContainer } from '../runtime/runtime.ts'
import { VolumePending } from '../disks/node-disks.ts'
import { refusalOf } from './admission.ts'
import { raise } from './back-off.ts'
import { PodContainers, type PodAttachment } from './containers.ts'
import { hostsText, resolvConfText } from './etc-files.ts'
import { etcFolder } from './mounts.ts'
import type { NodeContext } from './node-context.ts'
import { planPod } from './plan.ts'
import type { Action } from './plan.ts'
import { podFolder, removeFolder } from './pod-folder.ts'
import { gapsOf } from './prepare.ts'
import { newPodRecord, specOf } from './record.ts'
import type { Leaving, PodRecord } from './record.ts'
import { hostPortsOf, sandboxOf } from './sandbox.ts'
import { isTakenOver, restoreRecord, saveRecord } from './saved-record.ts'
import { ERR_IMAGE_PULL_MS, mergeConditions, statusOf } from './status.ts'
import { makeVolume } from './volume-kinds.ts'
import type { MadeVolume } from './volume-kinds.ts'
import { VolumeRefused } from './volumes.ts'

const DEFAULT_GRACE_SECONDS = 30
const AGAIN_MS = 2000
/** As kubelet's, for who has passed a limit. */
const EVICTION_GRACE_SECONDS = 1
/** As long as kubelet waits before it says something. */
const VOLUME_PATIENCE_MS = 120_000
const TIMEOUT_MAX = 2 ** 31 - 1

/** Who still sends requests to a pod that leaves. */
export type Senders = Pick<Leaving, 'isDraining' | 'isServed'>

const NO_SENDERS: Senders = { isDraining: false, isServed: false }

export class PodWorker {
  readonly record: PodRecord
  readonly #node: NodeContext
  readonly #containers: PodContainers
  #timer: NodeJS.Timeout | undefined
  #last: PodStatus | undefined
  #saved = ''
  #isFinishing = false
  #isClosed = false
  /** Since when it waits for a volume. */
  #pendingSince: number | undefined

  /** `left`: containers of the pod that an earlier agent started. */
  constructor(pod: Pod, node: NodeContext, left: readonly LeftContainer[] = []) {
    this.record = node.runtime.isContained
      ? restoreRecord(node.stateDir, pod, left, node.now())
      : newPodRecord(pod, node.now())
    this.#node = node
    this.#containers = new PodContainers({
      record: this.record,
      node,
      onChange: () => this.#next(),
      event: (...what) => this.#event(...what),
    })
    if (!pod.status?.startTime) this.#admit()
    for (const each of left.filter((one) => isTakenOver(this.record, one))) {
      this.#containers.adopt(each).catch((error: unknown) => {
        node.log.error('a container could not be adopted', { error, container: each.name })
      })
    }
  }

  /** The pod as it is wanted now, and who sends it requests while it leaves. */
  update(pod: Pod, senders: Senders = NO_SENDERS): void {
    const before = this.record.pod
    this.record.pod = pod
    if (pod.metadata.deletionTimestamp) {
      this.#leave(pod.metadata.deletionGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS)
      if (this.record.leaving) Object.assign(this.record.leaving, senders)
    } else if (before !== pod) this.#restartChanged(before)
    this.#next()
  }

  /** It is not this node's pod any more. */
  leave(): void {
    this.#leave(this.#grace())
    this.#next()
  }

  /** It has used more than it may: it ends here, and is told why. */
  evict(message: string): void {
    const { record } = this
    if (record.failed || record.leaving || record.isFinished) return
    record.failed = { reason: 'Evicted', message, graceSeconds: EVICTION_GRACE_SECONDS }
    this.#event('Warning', 'Evicted', message)
    this.#next()
  }

  /** ConfigMaps or Secrets have changed: what waited for them is tried again, files follow. */
  async configurationChanged(): Promise<void> {
    const { record } = this
    record.setUpRetryAt = undefined
    for (const container of record.containers) {
      if (container.waiting?.reason === 'CreateContainerConfigError') container.retryAt = undefined
    }
    if (record.setUp === 'yes' && !record.isFinished) {
      // A source that is missing now keeps the files that are there, as kubelet does.
      await this.#makeVolumes().catch(() => undefined)
    }
    this.#next()
  }

  /** True while it waits for a ConfigMap or Secret that was not there. */
  isWaitingForConfiguration(): boolean {
    const { record } = this
    if (record.isFinished || record.leaving) return false
    return (
      record.setUpRetryAt !== undefined ||
      record.containers.some(({ waiting }) => waiting?.reason === 'CreateContainerConfigError')
    )
  }

  logOf(
    name: string,
    isPrevious: boolean,
  ): { path: string; live: LogFile | undefined } | undefined {
    return this.#containers.logOf(name, isPrevious)
  }

  exec(name: string, argv: readonly string[], terminal: { hasTty: boolean }): Exec | undefined {
    return this.#containers.exec(name, argv, terminal)
  }

  attach(name: string): PodAttachment | undefined {
    return this.#containers.attach(name)
  }

  /** Ids of its running containers, for statistics. */
  running(): { name: string; id: string }[] {
    return this.#containers.running()
  }

  /** Forgets it, its files and timers. Only when it has finished. */
  async dispose(): Promise<void> {
    this.#close()
    await removeFolder(this.#folder())
  }

  /** The machine shuts down: nothing is started or told any more. */
  async shutDown(graceSeconds: number): Promise<void> {
    this.#close()
    await this.#containers.stopAll(graceSeconds)
  }

  #close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #leave(graceSeconds: number): void {
    const { record } = this
    const isShorter = record.leaving !== undefined && record.leaving.graceSeconds > graceSeconds
    if (record.leaving && !isShorter) return
    const since = record.leaving?.since ?? this.#node.now()
    record.leaving = { graceSeconds, since, ...NO_SENDERS }
    if (isShorter) this.#containers.hurry(graceSeconds)
  }

  #restartChanged(before: Pod): void {
    for (const container of this.record.containers) {
      const { name } = container
      if (specOf(before, name).image === specOf(this.record.pod, name).image) continue
      container.retryAt = undefined
      if (container.step !== 'running' || container.kind === 'init') continue
      const why = `Container ${name} definition changed, will be restarted`
      container.condemned = { graceSeconds: this.#grace(), why }
    }
  }

  #next(): void {
    if (this.#isClosed) return
    const { actions, wakeAt } = planPod(this.record, this.#node.now())
    for (const action of actions) this.#do(action)
    clearTimeout(this.#timer)
    const at = Math.min(wakeAt ?? Infinity, this.#relabelAt())
    if (at !== Infinity) {
      const ms = Math.min(Math.max(at - this.#node.now(), 1), TIMEOUT_MAX)
      this.#timer = setTimeout(() => this.#next(), ms)
    }
    const { stateDir, runtime } = this.#node
    if (runtime.isContained) this.#saved = saveRecord(stateDir, this.record, this.#saved)
    this.#publish()
  }

  #do(action: Action): void {
    switch (action.do) {
      case 'setUp':
        void this.#setUp()
        break
      case 'start':
        void this.#containers.start(action.container)
        break
      case 'stop':
        void this.#containers.stop(action.container, action.graceSeconds, action.why)
        break
      case 'fail':
        this.record.failed = { reason: action.reason, message: action.message }
        this.#event('Warning', action.reason, action.message)
        setImmediate(() => this.#next())
        break
      case 'finish':
        void this.#finish()
        break
    }
  }

  /** When a failed pull becomes a back-off to the eye. */
  #relabelAt(): number {
    const now = this.#node.now()
    const times = this.record.containers
      .filter(({ waiting }) => waiting?.reason === 'ErrImagePull')
      .map(({ refusals }) => refusals.raisedAt + ERR_IMAGE_PULL_MS)
      .filter((at) => at > now)
    return Math.min(Infinity, ...times)
  }

  #publish(): void {
    const { record } = this
    const { namespace = '', name, uid } = record.pod.metadata
    const before = mergeConditions(this.#last, record.pod.status)
    const status = statusOf(record, before, this.#node.hostIP, this.#node.now())
    this.#last = status
    // A pod that is going says so once, at the end.
    if (record.leaving && !record.isFinished) return
    const isSettling =
      record.setUp === 'busy' ||
      record.containers.some(({ step, isSettling }) => step === 'starting' || isSettling)
    const isGone = record.leaving !== undefined
    const lastWords = this.#containers.words.take()
    this.#node.publish({ namespace, name, uid, status, isGone, isSettling, lastWords })
  }

  async #setUp(): Promise<void> {
    const { record } = this
    record.setUp = 'busy'
    try {
      const { runtime, network, nodeName } = this.#node
      const sandbox = sandboxOf(record.pod, nodeName)
      const { pid } = await runtime.startPod(sandbox, () => void this.#sandboxLost())
      record.networkPid = pid
      record.podIP = await network.addPod(record.pod.metadata.uid, {
        ...(pid === undefined ? {} : { pid }),
        hostNetwork: sandbox.hostNetwork,
        hostPorts: hostPortsOf(record.pod),
      })
      if (runtime.isContained) await this.#writeEtc(sandbox.hostname)
      await this.#makeVolumes()
      record.setUp = 'yes'
      record.setUpRetryAt = undefined
      this.#pendingSince = undefined
    } catch (error) {
      const now = this.#node.now()
      record.setUps = raise(record.setUps, now, now)
      record.setUpRetryAt = now + record.setUps.ms
      record.setUp = 'no'
      const why = error instanceof Error ? error.message : String(error)
      if (error instanceof VolumePending) this.#pending(now)
      else if (error instanceof VolumeRefused) this.#event('Warning', 'FailedMount', why)
      else {
        this.#event('Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${why}`)
      }
    }
    this.#next()
  }

  /** What it waits for wakes it; people are told when that takes long, in kubelet's words. */
  #pending(now: number): void {
    this.#pendingSince ??= now
    if (now - this.#pendingSince < VOLUME_PATIENCE_MS) return
    this.#pendingSince = now
    const claimed = (this.record.pod.spec.volumes ?? [])
      .filter(({ persistentVolumeClaim, ephemeral }) => persistentVolumeClaim ?? ephemeral)
      .map(({ name }) => name)
    const which = `unmounted volumes=[${claimed.join(' ')}], unattached volumes=[], failed to process volumes=[]`
    const message = `Unable to attach or mount volumes: ${which}: timed out waiting for the condition`
    this.#event('Warning', 'FailedMount', message)
  }

  /** Its containers end with it; the plan makes it anew before it starts them again. */
  async #sandboxLost(): Promise<void> {
    const { record } = this
    if (record.setUp !== 'yes' || record.isFinished) return
    record.setUp = 'busy'
    record.networkPid = undefined
    this.#event(
      'Normal',
      'SandboxChanged',
      'Pod sandbox changed, it will be killed and re-created.',
    )
    await this.#containers.killAll()
    for (const container of record.containers) container.retryAt = undefined
    record.setUp = 'no'
    this.#next()
  }

  async #writeEtc(hostname: string): Promise<void> {
    const { pod, podIP = '' } = this.record
    const { stateDir, network, machineRoot } = this.#node
    const folder = etcFolder(stateDir, pod.metadata.uid)
    const hostHosts = await readFile(join(machineRoot, '/etc/hosts'), 'utf8').catch(() => '')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'hosts'), hostsText(pod, podIP, hostHosts))
    await writeFile(join(folder, 'resolv.conf'), resolvConfText(network.dnsFor(pod)))
    await writeFile(join(folder, 'hostname'), `${hostname}\n`)
  }

  async #makeVolumes(): Promise<void> {
    const { pod } = this.record
    const made = new Map<string, MadeVolume>()
    for (const volume of pod.spec.volumes ?? []) {
      const folder = join(this.#folder(), 'volumes', volume.name)
      try {
        const context = { facts: this.#containers.facts(), node: this.#node, folder }
        made.set(volume.name, await makeVolume(volume, context))
      } catch (error) {
        if (!(error instanceof VolumeRefused)) throw error
        const what = `MountVolume.SetUp failed for volume "${volume.name}" : ${error.message}`
        throw new VolumeRefused(what, { cause: error })
      }
    }
    this.#containers.volumes = made
  }

  /** Gives back what it holds; tried again until it is done, and only then told. */
  async #finish(): Promise<void> {
    if (this.#isFinishing) return
    this.#isFinishing = true
    const { network, runtime, log } = this.#node
    const { uid, name } = this.record.pod.metadata
    try {
      await network.removePod(uid)
      await runtime.removePod(uid)
      for (const part of ['sub-paths', 'volumes']) await removeFolder(join(this.#folder(), part))
      await this.#node.disks.release(uid)
      this.record.isFinished = true
    } catch (error) {
      log.warn('a pod could not be cleared away, trying again', { error, pod: name })
      setTimeout(() => this.#next(), AGAIN_MS).unref()
      return
    } finally {
      this.#isFinishing = false
    }
    this.#next()
  }

  /** Whether the node takes it, and what it cannot give. */
  #admit(): void {
    const { record } = this
    const refusal = this.#node.runtime.isContained ? refusalOf(record.pod) : undefined
    if (!refusal || record.failed) return this.#announceGaps()
    const { reason, message } = refusal
    record.failed = { reason, message: `Pod was rejected: ${message}`, isRejected: true }
    this.#event('Warning', reason, message)
  }

  #announceGaps(): void {
    const { pod } = this.record
    const { runtime } = this.#node
    const limits = pod.spec.containers.flatMap(({ resources }) =>
      runtime.notEnforced({
        limits: {
          ...(resources?.limits?.['cpu'] ? { cpuMillis: 1 } : {}),
          ...(resources?.limits?.['memory'] ? { memoryBytes: 1 } : {}),
        },
      }),
    )
    const gaps = [...new Set([...limits, ...(runtime.isContained ? [] : gapsOf(pod))])]
    if (gaps.length === 0) return
    const name = runtime.version.split(':')[0]
    const what = `Not enforced by the ${name} runtime on this node: ${gaps.join(', ')}`
    this.#event('Warning', 'LimitsNotEnforced', what)
  }

  #grace(): number {
    return this.record.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    if (this.#isClosed) return
    const { namespace = '', name, uid } = this.record.pod.metadata
    const pod = { namespace, name, uid }
    this.#node.event({ pod, type, reason, message, ...(fieldPath ? { fieldPath } : {}) })
  }

  #folder(): string {
    return podFolder(this.#node.stateDir, this.record.pod.metadata.uid)
  }
}
