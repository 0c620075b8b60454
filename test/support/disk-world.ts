// The brain and the cloud function's part for disks, without messages: controllers to rest, a pass over
// Compute Engine in memory, and again, until nothing moves. Agents are played by the tests.

import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { driveDisks } from '#functions/cloud/disks/drive.ts'
import { diskIntents, diskOutcomes, diskResultKeys } from '#functions/cloud/disks/results.ts'
import { claimKeys } from '#functions/cloud/disks/wishes.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { NODE_POOL_LABEL, type NodePool } from '#shared/api/node-pool.ts'
import { INSTANCE_ID_ANNOTATION, type Node } from '#shared/api/node.ts'
import type { PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { VolumeAttachment } from '#shared/api/volume-attachment.ts'
import { keyOf } from '#shared/key.ts'
import { CONTROLLERS } from '#shared/reconcile/controllers.ts'
import { reconcileToFixpoint } from '#shared/reconcile/engine.ts'
import type { Reconciler } from '#shared/reconcile/outcome.ts'
import { standardClasses } from '#shared/reconcile/volumes/classes.ts'
import { uniqueName } from '#shared/reconcile/volumes/relations.ts'
import { Brain } from './brain.ts'
import { aNode, aPod, type PodOptions } from './objects.ts'

export const ZONE = 'us-east1-c'
const POOL = 'default-pool'
export const GROUP = 'gke-c-default-pool-12345678-grp'
const FACTS = { id: 'c', displayName: 'c', region: 'us-east1' }
const ROUNDS_MAX = 20

export class DiskWorld {
  readonly brain = new Brain(CONTROLLERS)
  readonly compute = createMemoryCompute({ clock: createManualClock(0) })
  readonly disks = createMemoryDisks({ compute: this.compute })
  /** `Reason: message` of every event so far. */
  readonly events: string[] = []
  readonly #log = createMemoryLog()

  /** A cluster with so many VMs, their nodes and GKE's storage classes. */
  static async open(vms = 2): Promise<DiskWorld> {
    const world = new DiskWorld()
    await world.compute.applyInstanceGroup({
      name: GROUP,
      zone: ZONE,
      size: vms,
      baseInstanceName: 'vm',
      machineType: 'e2-standard-4',
      diskSizeGb: 10,
      spot: false,
      labels: {},
      metadata: {},
      healthCheck: { port: 1, path: '/', intervalSeconds: 1 },
    })
    const meta = (_: string, name: string) => ({ name, uid: `uid-${name}`, creationTimestamp: '' })
    world.brain.put(...standardClasses(meta), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: meta('', 'default'),
    })
    await world.seeVms()
    await world.settle()
    return world
  }

  /** The cloud function lists the VMs; agents of new ones register. */
  async seeVms(health: Record<string, boolean> = {}): Promise<string[]> {
    const instances = (await this.compute.listInstances({})).map((instance) => {
      const { name, id, status, creationTimestamp } = instance
      const isHealthy = health[name]
      return {
        name,
        id,
        status,
        creationTimestamp,
        ...(isHealthy === undefined ? {} : { isHealthy }),
      }
    })
    const pool: NodePool = {
      apiVersion: 'container.wherry.dev/v1',
      kind: 'NodePool',
      metadata: { name: POOL, uid: 'uid-pool', creationTimestamp: '' },
      spec: {
        nodeCount: instances.length,
        zone: ZONE,
        machineType: 'e2-standard-4',
        diskSizeGb: 10,
        spot: false,
      },
      status: { instanceGroup: GROUP, instances },
    }
    this.brain.put(pool)
    // What the old VMs' death means is found out before the new ones speak.
    await this.settle()
    for (const { name, id } of instances) {
      const known = this.get(keyOf('nodes', '', name))
      if (known?.metadata.annotations?.[INSTANCE_ID_ANNOTATION] === id) continue
      const node = aNode(name, {
        labels: { [NODE_POOL_LABEL]: POOL, 'topology.kubernetes.io/zone': ZONE },
      })
      node.metadata.uid = `uid-${id}`
      node.metadata.annotations = { [INSTANCE_ID_ANNOTATION]: id }
      this.brain.put(node)
    }
    return instances.map(({ name }) => name)
  }

  /** Controllers and cloud in turns until nobody has anything to write. */
  async settle(): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const settled = this.brain.settle()
      if (settled.faults.length > 0) throw new Error(settled.faults.join('\n'))
      this.events.push(...settled.events)
      if ((await this.#cloudPass()) === 0) return
    }
    throw new Error('does not come to rest')
  }

  async #cloudPass(): Promise<number> {
    const { brain, disks } = this
    let count = this.#commit(diskIntents(FACTS, 'demo'), claimKeys(brain.view))
    const deps = { disks, log: this.#log }
    const results = await driveDisks(deps, brain.view, FACTS)
    count += this.#commit(diskOutcomes(results), diskResultKeys(brain.view, results))
    return count
  }

  #commit(reconciler: Reconciler, keys: readonly string[]): number {
    const { writes, events } = reconcileToFixpoint({
      reader: this.brain.view,
      work: keys.map((key) => ({ reconciler: reconciler.name, key })),
      now: this.brain.now,
      reconcilers: [reconciler],
    })
    this.events.push(...events.map(({ reason, message }) => `${reason}: ${message}`))
    for (const { key, object } of writes) {
      if (object) this.brain.put(object)
      else this.brain.remove(key)
    }
    return writes.length
  }

  get(key: string): KubeObject | undefined {
    return this.brain.view.get(key)
  }

  claim(name: string): PersistentVolumeClaim | undefined {
    const key = keyOf('persistentvolumeclaims', 'default', name)
    return this.get(key) as PersistentVolumeClaim | undefined
  }

  pod(name: string): Pod | undefined {
    return this.get(keyOf('pods', 'default', name)) as Pod | undefined
  }

  volumes(): readonly PersistentVolume[] {
    return this.brain.view.list('persistentvolumes') as readonly PersistentVolume[]
  }

  attachments(): readonly VolumeAttachment[] {
    return this.brain.view.list('volumeattachments.storage.k8s.io') as readonly VolumeAttachment[]
  }

  /** Stores objects and lets everything come to rest. */
  async apply(...objects: KubeObject[]): Promise<void> {
    this.brain.put(...objects)
    await this.settle()
  }

  /** As the API's delete: marked when something holds it, gone otherwise. */
  async delete(key: string): Promise<void> {
    const object = this.get(key)
    if (!object) throw new Error(`there is no ${key}`)
    if (object.metadata.finalizers?.length || object.kind === 'Pod') {
      const deletionTimestamp = '2027-01-15T08:00:00Z'
      this.brain.put({ ...object, metadata: { ...object.metadata, deletionTimestamp } })
    } else this.brain.remove(key)
    await this.settle()
  }

  /** The agent of a node says what it has mounted. */
  async useOn(node: string, ...volumes: PersistentVolume[]): Promise<void> {
    this.brain.update<Node>(keyOf('nodes', '', node), (current) => ({
      ...current,
      status: { ...current.status, volumesInUse: volumes.map(uniqueName) },
    }))
    await this.settle()
  }

  /** The agent says that a pod's containers have ended. */
  async gone(pod: string): Promise<void> {
    this.brain.remove(keyOf('pods', 'default', pod))
    await this.settle()
  }
}

export function aClaim(
  name: string,
  spec: Partial<PersistentVolumeClaim['spec']> = {},
): PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, creationTimestamp: '' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '10Gi' } },
      ...spec,
    },
  }
}

/** A pod with the claim as its volume `data`. */
export function aUser(name: string, claim: string, options: PodOptions = {}): Pod {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: claim } }]
  return aPod(name, { ...options, spec: { volumes, ...options.spec } })
}
