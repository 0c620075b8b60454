// All pods of this node: one worker for each, as the desired state says.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isPodTerminal } from '#shared/api/pod-conditions.ts'
import type { DesiredState } from '#shared/api/agent-wire.ts'
import type { ConfigMap, Secret } from '#shared/api/config.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { LeftContainer } from '../runtime/runtime.ts'
import type { Configuration } from './env.ts'
import type { NodeContext } from './node-context.ts'
import { removeFolder } from './pod-folder.ts'
import { hasSavedRecord } from './saved-record.ts'
import { PodWorker } from './worker.ts'
import type { Senders } from './worker.ts'

export class Pods {
  readonly #node: NodeContext
  readonly #isGoneTold: (uid: string) => boolean
  readonly #forget: (uid: string) => void
  readonly #workers = new Map<string, PodWorker>()
  #versions = ''
  #isFirst = true
  readonly #left: ReadonlyMap<string, LeftContainer[]>

  /**
   * `isGoneTold`: the API knows that the pod has ended; `forget`: nothing more will be told of it;
   * `left`: containers that an earlier agent started.
   */
  constructor(
    node: NodeContext,
    isGoneTold: (uid: string) => boolean,
    forget: (uid: string) => void,
    left: readonly LeftContainer[],
  ) {
    this.#node = node
    this.#left = Map.groupBy(left, ({ podUid }) => podUid)
    this.#isGoneTold = isGoneTold
    this.#forget = forget
  }

  /** Starts, changes and stops workers. Services must have been applied before. */
  async apply(desired: DesiredState): Promise<void> {
    const wanted = new Map(desired.pods.map((pod) => [pod.metadata.uid, pod]))
    if (this.#isFirst) await this.#removeStrangers(wanted)
    this.#isFirst = false
    for (const [uid, worker] of this.#workers) {
      if (wanted.has(uid)) continue
      if (worker.record.isFinished) await this.#dispose(uid, worker)
      else worker.leave()
    }
    const draining = new Set(desired.draining)
    // A proxy that finds nobody asks the next one; rules of the kernel cannot.
    const served = this.#node.network.hasPodAddresses ? endpointsOf(desired) : undefined
    for (const [uid, pod] of wanted) {
      const isServed = served?.has(uid) === true
      this.#applyPod(uid, pod, { isDraining: draining.has(uid), isServed })
    }
    const versions = versionsOf(desired)
    if (versions === this.#versions) return
    this.#versions = versions
    for (const worker of this.#workers.values()) await worker.configurationChanged()
  }

  /** The API says that these are not this node's pods any more. */
  dropUnknown(pods: readonly { uid: string }[]): void {
    for (const { uid } of pods) {
      const worker = this.#workers.get(uid)
      if (!worker) continue
      if (worker.record.isFinished) void this.#dispose(uid, worker)
      else worker.leave()
    }
  }

  /** True while a pod waits for a ConfigMap or Secret that was not there when it was last read. */
  isWaitingForConfiguration(): boolean {
    return [...this.#workers.values()].some((worker) => worker.isWaitingForConfiguration())
  }

  /** The worker of a pod by its name, the newest where one replaced another. */
  find(namespace: string, name: string): PodWorker | undefined {
    return [...this.#workers.values()].findLast(
      ({ record: { pod } }) => pod.metadata.namespace === namespace && pod.metadata.name === name,
    )
  }

  all(): PodWorker[] {
    return [...this.#workers.values()]
  }

  /** Stops all containers politely; nothing is told any more. */
  async shutDown(graceSeconds: number): Promise<void> {
    await Promise.all(this.all().map((worker) => worker.shutDown(graceSeconds)))
  }

  #applyPod(uid: string, pod: Pod, senders: Senders): void {
    const worker = this.#workers.get(uid)
    if (worker) {
      worker.update(pod, senders)
      return
    }
    if (this.#isGoneTold(uid)) return
    const { stateDir, runtime } = this.#node
    if (isPodTerminal(pod)) {
      if (pod.metadata.deletionTimestamp) this.#tellGone(pod)
      // What it printed may still be asked for.
      if (pod.metadata.deletionTimestamp || !runtime.isContained) return
      if (!hasSavedRecord(stateDir, uid)) return
    }
    const created = new PodWorker(pod, this.#node, this.#left.get(uid))
    this.#workers.set(uid, created)
    created.update(pod)
  }

  /** A pod that ended before this agent began: only its record is left to go. */
  #tellGone(pod: Pod): void {
    const { namespace = '', name, uid } = pod.metadata
    const status = pod.status ?? {}
    this.#node.publish({ namespace, name, uid, status, isGone: true, isSettling: false })
  }

  async #dispose(uid: string, worker: PodWorker): Promise<void> {
    this.#workers.delete(uid)
    this.#forget(uid)
    await worker.dispose()
  }

  /** Containers and files of pods that went while this agent was not there. */
  async #removeStrangers(wanted: ReadonlyMap<string, Pod>): Promise<void> {
    await this.#node.runtime.keepOnly(new Set(wanted.keys()))
    const folder = join(this.#node.stateDir, 'pods')
    for (const uid of list(folder)) {
      if (!wanted.has(uid)) await removeFolder(join(folder, uid))
    }
  }
}

/** Uids of the pods that Services lead to. */
function endpointsOf({ endpointSlices }: DesiredState): Set<string> {
  const endpoints = endpointSlices.flatMap((slice) => slice.endpoints)
  return new Set(endpoints.flatMap(({ targetRef }) => targetRef?.uid ?? []))
}

/** ConfigMaps and Secrets by name, as pods refer to them. */
export function configurationOf(desired: DesiredState | undefined): Configuration {
  const byName = <T extends ConfigMap | Secret>(objects: readonly T[] | undefined) =>
    new Map(
      (objects ?? []).map((each) => [`${each.metadata.namespace}/${each.metadata.name}`, each]),
    )
  return { configMaps: byName(desired?.configMaps), secrets: byName(desired?.secrets) }
}

/** What pods may wait for. */
function versionsOf(desired: DesiredState): string {
  const { configMaps, secrets, claims = [], volumes = [], attachments = [], node } = desired
  const all = [...configMaps, ...secrets, ...claims, ...volumes, ...attachments]
  return [...all.map(versionOf), ...(node?.status?.volumesInUse ?? [])].join(' ')
}

function versionOf({ metadata }: KubeObject): string {
  return `${metadata.uid}@${metadata.resourceVersion ?? ''}`
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
