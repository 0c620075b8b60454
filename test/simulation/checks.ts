// What must hold at every revision of the log, whoever wrote it and whatever went wrong meanwhile.

import { controllerOf } from '#shared/api/owner.ts'
import type { Deployment } from '#shared/api/deployment.ts'
import { isPodActive, isPodReady } from '#shared/api/pod-conditions.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { ReplicaSet } from '#shared/api/replica-set.ts'
import { keyOf } from '#shared/key.ts'
import type { Key } from '#shared/key.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import { budget, wanted } from '#shared/reconcile/deployment/world.ts'
import { capacityOf, usageOf } from '#shared/schedule/resources.ts'
import type { Reader } from '#shared/view/reader.ts'
import { ClusterView } from '#shared/view/view.ts'

const RECONCILE = 'function:reconcile'

/** Follows the log and says what is wrong with it. */
export class SafetyChecks {
  readonly view = new ClusterView()
  readonly #created = new Map<string, Key>()
  /** Deployments that were scaled and have not come to rest since: their sizes are in motion. */
  readonly #inMotion = new Set<Key>()

  /** Takes the next revision. Throws when it breaks a rule. */
  follow(revision: Revision, wasReadBefore: boolean): void {
    const before = this.#sizes()
    for (const { key, before: old, after } of revision.changes) {
      const known = this.view.get(key)?.metadata.resourceVersion
      must(known === old?.metadata.resourceVersion, `${key} was written over a version not read`)
      if (after && !old) this.#noteCreation(key, after.metadata.uid)
    }
    this.view.apply(revision)
    this.#noteMotion(revision)
    this.#checkNodes()
    if (revision.cause.actor !== RECONCILE) return
    const after = this.#sizes()
    for (const [key, size] of after) {
      this.#checkSize(key, before.get(key) ?? NOBODY, size)
      // Between what it read and what it wrote a person may have taken pods away.
      if (wasReadBefore) this.#checkAvailable(key, before.get(key) ?? NOBODY, size, revision)
    }
  }

  #noteCreation(key: Key, uid: string): void {
    must(!this.#created.has(uid), `${key} has the uid of an earlier object`)
    this.#created.set(uid, key)
  }

  #noteMotion({ changes, cause }: Revision): void {
    for (const { key, before, after } of changes) {
      if (!key.startsWith('deployments.apps/')) continue
      const [old, next] = [before as Deployment | undefined, after as Deployment | undefined]
      if (!next) this.#inMotion.delete(key)
      else if (!old || (cause.actor !== RECONCILE && changedBudget(old, next)))
        this.#inMotion.add(key)
      else if (isAtRest(next)) this.#inMotion.delete(key)
    }
  }

  /** Never more pods than replicas + surge; what a person's change left over is not added to. */
  #checkSize(key: Key, before: Size, after: Size): void {
    const deployment = this.view.get(key) as Deployment
    const limit = wanted(deployment) + budget(deployment).surge
    must(
      after.active <= Math.max(limit, before.active, before.asked),
      `${key} has ${after.active} pods, ${limit} are allowed`,
    )
    must(
      after.asked <= Math.max(limit, before.asked),
      `${key} asks for ${after.asked} pods, ${limit} are allowed`,
    )
    if (deployment.spec.strategy?.type !== 'Recreate' || deployment.spec.paused) return
    for (const [name, { asked }] of after.sets) {
      if (asked === 0 || before.sets.get(name)?.asked) continue
      const others = [...after.sets].filter(([other, { pods }]) => other !== name && pods > 0)
      must(others.length === 0, `${key} (Recreate) started ${name} while others had pods`)
    }
  }

  /** Never fewer available than the budget allows, where no person and no dead node took them. */
  #checkAvailable(key: Key, before: Size, after: Size, revision: Revision): void {
    const deployment = this.view.get(key) as Deployment
    if (deployment.spec.strategy?.type === 'Recreate' || this.#inMotion.has(key)) return
    if (revision.changes.some(isNodeLoss)) return
    const least = wanted(deployment) - budget(deployment).unavailable
    must(
      after.ready >= Math.min(least, before.ready),
      `${key} has ${after.ready} ready pods after ${before.ready}, ${least} are needed`,
    )
  }

  #checkNodes(): void {
    for (const node of this.view.list('nodes') as readonly Node[]) {
      const usage = usageOf(this.view.podsOnNode(node.metadata.name) as readonly Pod[])
      const capacity = capacityOf(node)
      must(
        usage.cpu <= capacity.cpu && usage.memory <= capacity.memory && usage.pods <= capacity.pods,
        `node ${node.metadata.name} is over its allocatable: ${usage.cpu}m cpu`,
      )
    }
  }

  #sizes(): Map<Key, Size> {
    const deployments = this.view.list('deployments.apps') as readonly Deployment[]
    return new Map(
      deployments.map((deployment) => [
        keyOf('deployments.apps', deployment.metadata.namespace, deployment.metadata.name),
        sizeOf(this.view, deployment),
      ]),
    )
  }
}

interface Size {
  /** What the ReplicaSets want together. */
  asked: number
  active: number
  ready: number
  /** By ReplicaSet: what it wants, and what it has, pods on their way out included. */
  sets: ReadonlyMap<string, { asked: number; pods: number }>
}

const NOBODY: Size = { asked: 0, active: 0, ready: 0, sets: new Map() }

function sizeOf(reader: Reader, deployment: Deployment): Size {
  const sets = reader.ownedBy(deployment.metadata.uid) as readonly ReplicaSet[]
  const pods = sets.map((set) => reader.ownedBy(set.metadata.uid) as readonly Pod[])
  const active = pods.flat().filter(isPodActive)
  return {
    asked: sets.reduce((sum, set) => sum + askedBy(set), 0),
    active: active.length,
    ready: active.filter(isPodReady).length,
    sets: new Map(
      sets.map((set, index) => [
        set.metadata.name,
        { asked: askedBy(set), pods: pods[index]?.length ?? 0 },
      ]),
    ),
  }
}

function askedBy(set: ReplicaSet): number {
  return set.spec.replicas ?? 1
}

function changedBudget(old: Deployment, next: Deployment): boolean {
  const [before, after] = [budget(old), budget(next)]
  return (
    wanted(old) !== wanted(next) ||
    before.surge !== after.surge ||
    before.unavailable !== after.unavailable ||
    old.spec.paused !== next.spec.paused ||
    old.spec.strategy?.type !== next.spec.strategy?.type
  )
}

function isAtRest(deployment: Deployment): boolean {
  const { status } = deployment
  const size = wanted(deployment)
  return status?.availableReplicas === size && status.replicas === size
}

function isNodeLoss({ key, after }: Change): boolean {
  return key.startsWith('nodes/') && !after
}

/** The name of the Deployment that a pod belongs to in the end. */
export function deploymentOf(reader: Reader, pod: Pod): string | undefined {
  const set = controllerOf(pod)
  const owner = reader.get(keyOf('replicasets.apps', pod.metadata.namespace, set?.name ?? ''))
  return owner && controllerOf(owner)?.name
}

export function must(isTrue: boolean, message: string): asserts isTrue {
  if (!isTrue) throw new Error(message)
}
