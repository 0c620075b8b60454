// The volumes of claims on this node: mounted when their disk is attached, unmounted when no pod here needs
// them, and never used before the API knows that they are in use. That is what keeps a disk from being
// taken off a machine that writes to it: the API is told first, then it is looked once more whether the
// disk is still meant for us, then it is mounted.

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DesiredState, GrownVolume } from '#shared/api/agent-wire.ts'
import type { PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { Pod, Volume } from '#shared/api/pod.ts'
import { ATTACHED_INSTANCE } from '#shared/api/volume-attachment.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Version } from '#shared/ports/store.ts'
import { compareQuantities } from '#shared/quantity.ts'
import { claimNameOf, diskOf, isReadOnly, uniqueName } from '#shared/reconcile/volumes/relations.ts'
import type { DiskDriver } from './driver.ts'

export interface NodeDisksOptions {
  driver: DiskDriver
  stateDir: string
  instanceId: string
  /** The newest desired state. */
  current: () => DesiredState | undefined
  /** Tells the API what is in use; resolves with the version that came of it, undefined: it knew already. */
  tellInUse: (names: readonly string[]) => Promise<Version | undefined>
  /** Asks for a newer desired state. */
  wake: () => void
  tellGrown: (news: GrownVolume) => void
  log: Log
}

/** A volume that is there. */
export interface ReadyVolume {
  path: string
  isWritable: boolean
  /** It is a disk of its own, of which the node need not share the root. */
  isDisk: boolean
  /** The pod did not have it before. */
  isNew: boolean
}

/** Not there yet: what is waited for will wake us. */
export class VolumePending extends Error {
  override readonly name = 'VolumePending'
}

const DEVICE_LOOKS = 50
const DEVICE_LOOK_MS = 100

interface Mounted {
  volume: PersistentVolume
  path: string
  /** Uids of pods. */
  users: Set<string>
  size: string | undefined
}

export class NodeDisks {
  readonly #options: NodeDisksOptions
  readonly #mounted = new Map<string, Mounted>()
  /** What the API was told, or is being told: the volume's name by the name that the API uses. */
  readonly #inUse = new Map<string, string>()
  readonly #leftovers = new Set<string>()
  /** The newest version that one of our words made. */
  #told: Version = ''
  /** One step after the other. */
  #before: Promise<unknown> = Promise.resolve()

  constructor(options: NodeDisksOptions) {
    this.#options = options
  }

  /** Finds what an earlier agent left mounted; pods that still want it take it over. */
  async start(): Promise<void> {
    const { driver } = this.#options
    for (const path of await driver.mountedBelow(this.#folder())) this.#leftovers.add(path)
  }

  /**
   * The volume of a claim, ready for this pod. VolumePending: its disk is still on its way. Any other
   * error is one that people must read.
   */
  make(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    return this.#inTurn(() => this.#make(pod, volume))
  }

  /** The pod's containers have ended for good: what nobody else uses is unmounted, and told to be free. */
  release(uid: string): Promise<void> {
    return this.#inTurn(async () => {
      const free = [...this.#mounted].filter(
        ([, { users }]) => users.delete(uid) && users.size === 0,
      )
      for (const [name, mounted] of free) await this.#unmount(name, mounted)
      if (free.length > 0) await this.#tell()
    })
  }

  /** After each desired state: leftovers of pods that are gone, volumes that have grown. */
  tend(desired: DesiredState): Promise<void> {
    return this.#inTurn(async () => {
      await this.#dropLeftovers(desired)
      for (const [name, mounted] of this.#mounted) {
        const now = desired.volumes?.find(({ metadata }) => metadata.name === name)
        if (now) await this.#grow(mounted, now, desired)
      }
      this.#forgetUnused(desired)
      const known = desired.node?.status?.volumesInUse ?? []
      const isStale =
        known.length > this.#inUse.size || known.some((name) => !this.#inUse.has(name))
      if (isStale && desired.version >= this.#told) await this.#tell()
    })
  }

  /** The machine shuts down: its pods have ended. */
  async shutDown(): Promise<void> {
    for (const [name, mounted] of this.#mounted) await this.#unmount(name, mounted)
  }

  async #make(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    const { claim, bound } = this.#find(pod, volume)
    const { spec } = bound
    const isWritable = !isReadOnly(bound) && !volume.persistentVolumeClaim?.readOnly
    if (spec.hostPath) {
      return { path: spec.hostPath.path, isWritable, isDisk: false, isNew: true }
    }
    if (spec.local) return { path: spec.local.path, isWritable, isDisk: false, isNew: true }
    if (!diskOf(bound))
      throw new Error(`the source of volume ${bound.metadata.name} is not known here`)
    const mounted = this.#mounted.get(bound.metadata.name)
    const isNew = !mounted?.users.has(pod.metadata.uid)
    if (mounted) mounted.users.add(pod.metadata.uid)
    else await this.#mount(pod, claim, bound)
    return { path: this.#pathOf(bound), isWritable, isDisk: true, isNew }
  }

  #find(pod: Pod, volume: Volume): { claim: PersistentVolumeClaim; bound: PersistentVolume } {
    const { claims = [], volumes = [] } = this.#options.current() ?? {}
    const name = claimNameOf(pod, volume) ?? ''
    const claim = claims.find(
      ({ metadata }) => metadata.name === name && metadata.namespace === pod.metadata.namespace,
    )
    if (!claim) throw new Error(`persistentvolumeclaim "${name}" not found`)
    const bound = volumes.find(({ metadata }) => metadata.name === claim.spec.volumeName)
    if (claim.status?.phase === 'Bound' && bound) return { claim, bound }
    throw new VolumePending(`persistentvolumeclaim "${name}" is not bound`)
  }

  /** For all pods here: one that only reads shares it with one that writes. */
  async #mount(pod: Pod, claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<void> {
    const { driver, log } = this.#options
    const { name } = volume.metadata
    const deviceName = diskOf(volume)?.name ?? ''
    this.#needAttached(volume)
    await this.#announce(volume)
    if (!(await this.#seesDevice(deviceName))) {
      throw new VolumePending(`the disk ${deviceName} is attached, its device is not there yet`)
    }
    const path = this.#pathOf(volume)
    await driver.mount({
      deviceName,
      target: path,
      fsType: volume.spec.csi?.fsType ?? volume.spec.gcePersistentDisk?.fsType ?? 'ext4',
      isReadOnly: isReadOnly(volume),
      options: volume.spec.mountOptions ?? [],
    })
    this.#leftovers.delete(path)
    const size = claim.status?.capacity?.['storage']
    const mounted: Mounted = { volume, path, users: new Set([pod.metadata.uid]), size }
    this.#mounted.set(name, mounted)
    log.info('a volume is mounted', { volume: name })
    const current = this.#options.current()
    if (current) await this.#grow(mounted, volume, current)
  }

  /** An attached device takes a moment to show up. */
  async #seesDevice(deviceName: string): Promise<boolean> {
    for (let look = 0; look < DEVICE_LOOKS; look++) {
      if (await this.#options.driver.isThere(deviceName)) return true
      await delay(DEVICE_LOOK_MS)
    }
    return false
  }

  /** Attached to this very machine, and not on its way off. */
  #needAttached({ metadata }: PersistentVolume): void {
    const { instanceId, current } = this.#options
    const attachment = current()?.attachments?.find(
      ({ spec }) => spec.source.persistentVolumeName === metadata.name,
    )
    const isOurs =
      attachment?.status?.attached === true &&
      attachment.metadata.deletionTimestamp === undefined &&
      attachment.status.attachmentMetadata?.[ATTACHED_INSTANCE] === instanceId
    if (!isOurs) throw new VolumePending(`volume ${metadata.name} is not attached yet`)
  }

  /**
   * Goes on only with a state in which the API knows that the volume is in use here: whoever wants to take
   * the disk off after that state sees it too.
   */
  async #announce(volume: PersistentVolume): Promise<void> {
    const unique = uniqueName(volume)
    const isRecorded = (): boolean => {
      const current = this.#options.current()
      const known = current?.node?.status?.volumesInUse?.includes(unique) ?? false
      return known && current !== undefined && current.version >= this.#told
    }
    if (this.#inUse.has(unique) && isRecorded()) return
    this.#inUse.set(unique, volume.metadata.name)
    await this.#tell()
    this.#options.wake()
    throw new VolumePending(`volume ${volume.metadata.name}: the API must know first`)
  }

  async #tell(): Promise<void> {
    const version = await this.#options.tellInUse([...this.#inUse.keys()].sort())
    if (version && version > this.#told) this.#told = version
  }

  /** Announced for a pod that did not stay, and not meant for us any more. */
  #forgetUnused({ attachments = [] }: DesiredState): void {
    for (const [unique, name] of this.#inUse) {
      const attachment = attachments.find(({ spec }) => spec.source.persistentVolumeName === name)
      const isOurs = attachment && !attachment.metadata.deletionTimestamp
      if (!isOurs && !this.#mounted.has(name)) this.#inUse.delete(unique)
    }
  }

  async #unmount(name: string, { path, volume }: Mounted): Promise<void> {
    await this.#options.driver.unmount(path)
    this.#mounted.delete(name)
    this.#inUse.delete(uniqueName(volume))
    this.#options.log.info('a volume is unmounted', { volume: name })
  }

  /** Mounted by an earlier agent for pods that are gone. */
  async #dropLeftovers(desired: DesiredState): Promise<void> {
    const wanted = new Set((desired.volumes ?? []).map((volume) => this.#pathOf(volume)))
    for (const path of this.#leftovers) {
      if (wanted.has(path)) continue
      await this.#options.driver.unmount(path)
      this.#leftovers.delete(path)
    }
  }

  async #grow(mounted: Mounted, volume: PersistentVolume, desired: DesiredState): Promise<void> {
    const capacity = volume.spec.capacity?.['storage']
    if (!capacity || compareQuantities(capacity, mounted.size) <= 0) return
    const { claimRef } = volume.spec
    const claim = desired.claims?.find(({ metadata }) => metadata.uid === claimRef?.uid)
    if (!claim) return
    const { driver, tellGrown } = this.#options
    const deviceName = diskOf(volume)?.name ?? ''
    const fsType = volume.spec.csi?.fsType ?? 'ext4'
    await driver.grow({ deviceName, target: mounted.path, fsType })
    mounted.size = capacity
    const { namespace = '', name, uid } = claim.metadata
    tellGrown({ namespace, claim: name, uid, capacity })
  }

  #folder(): string {
    return join(this.#options.stateDir, 'mounts')
  }

  #pathOf({ metadata }: PersistentVolume): string {
    return join(this.#folder(), metadata.name)
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#before.then(step, step)
    this.#before = next.catch(() => undefined)
    return next
  }
}
