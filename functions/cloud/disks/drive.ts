// One pass over a cluster's disks: made, grown, taken off VMs, attached to others, deleted, in the order
// in which one makes room for the next. Each call is idempotent; a failure of one does not stop the
// others. What came out is committed by results.ts.

import type { PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { VolumeAttachment } from '#shared/api/volume-attachment.ts'
import type { Disks } from '#shared/ports/disks.ts'
import type { Log } from '#shared/ports/log.ts'
import {
  attachments,
  diskOf,
  isReadOnly,
  volumeNamed,
  type DiskRef,
} from '#shared/reconcile/volumes/relations.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { ClusterFacts } from '../config.ts'
import {
  attachmentsToEnd,
  attachmentsToMake,
  diskSpec,
  volumesToDelete,
  volumesToGrow,
  volumesToMake,
} from './wishes.ts'

export interface DiskDeps {
  disks: Disks
  log: Log
}

/** What became of one wish. */
export type DiskResult =
  | { is: 'made' }
  | { is: 'grown'; sizeGb: number }
  | { is: 'deleted' }
  | { is: 'attached'; vmId: string }
  | { is: 'detached' }
  | { is: 'failed'; message: string }

/** By the uid of the PersistentVolume or VolumeAttachment that it is about. */
export type DiskResults = Map<string, DiskResult>

export async function driveDisks(
  deps: DiskDeps,
  reader: Reader,
  facts: ClusterFacts,
): Promise<DiskResults> {
  const results: DiskResults = new Map()
  const all = async <T>(wishes: readonly T[], act: (wish: T) => Promise<void>): Promise<void> => {
    await Promise.all(wishes.map(act))
  }
  const keep = async (uid: string, what: string, act: () => Promise<DiskResult>): Promise<void> => {
    try {
      results.set(uid, await act())
    } catch (error) {
      deps.log.warn(`a disk could not be ${what}`, { uid, error })
      const message = error instanceof Error ? error.message : String(error)
      results.set(uid, { is: 'failed', message })
    }
  }
  await all(volumesToMake(reader), (volume) =>
    keep(volume.metadata.uid, 'made', () => make(deps, reader, volume, facts)),
  )
  await all(volumesToGrow(reader), ({ volume, sizeGb }) =>
    keep(volume.metadata.uid, 'grown', () => grow(deps, volume, sizeGb)),
  )
  await all(attachmentsToEnd(reader), (attachment) =>
    keep(attachment.metadata.uid, 'detached', () => detach(deps, reader, attachment)),
  )
  const ended = new Set([...results].filter(([, { is }]) => is === 'detached').map(([uid]) => uid))
  await all(attachmentsToMake(reader, ended), ({ attachment, volume }) =>
    keep(attachment.metadata.uid, 'attached', () => attach(deps, reader, attachment, volume)),
  )
  await all(volumesToDelete(reader), (volume) =>
    keep(volume.metadata.uid, 'deleted', () => remove(deps, volume)),
  )
  return results
}

async function make(
  { disks }: DiskDeps,
  reader: Reader,
  volume: PersistentVolume,
  facts: ClusterFacts,
): Promise<DiskResult> {
  const spec = diskSpec(reader, volume, facts)
  if (!spec) throw new Error(`${volume.metadata.name} names no disk`)
  await disks.create(spec)
  return { is: 'made' }
}

async function grow(
  { disks }: DiskDeps,
  volume: PersistentVolume,
  sizeGb: number,
): Promise<DiskResult> {
  const disk = diskOf(volume)
  if (!disk) throw new Error(`${volume.metadata.name} names no disk`)
  return { is: 'grown', sizeGb: (await disks.resize(disk.name, disk.zone, sizeGb)).sizeGb }
}

async function remove({ disks }: DiskDeps, volume: PersistentVolume): Promise<DiskResult> {
  const disk = diskOf(volume)
  if (disk) await disks.delete(disk.name, disk.zone)
  return { is: 'deleted' }
}

async function detach(
  { disks }: DiskDeps,
  reader: Reader,
  { spec }: VolumeAttachment,
): Promise<DiskResult> {
  const name = spec.source.persistentVolumeName ?? ''
  const volume = reader.get(`persistentvolumes//${name}`) as PersistentVolume | undefined
  const disk = volume && diskOf(volume)
  if (disk) await disks.detach(disk.name, disk.zone, spec.nodeName)
  return { is: 'detached' }
}

async function attach(
  deps: DiskDeps,
  reader: Reader,
  { spec }: VolumeAttachment,
  volume: PersistentVolume,
): Promise<DiskResult> {
  const disk = diskOf(volume)
  if (!disk) throw new Error(`${volume.metadata.name} names no disk`)
  const wish = {
    disk: disk.name,
    zone: disk.zone,
    vm: spec.nodeName,
    deviceName: disk.name,
    isReadOnly: isReadOnly(volume),
  }
  try {
    return { is: 'attached', ...(await deps.disks.attach(wish)) }
  } catch (error) {
    if (!isReason(error, 'Conflict') || !(await freeOfStrays(deps, reader, volume))) throw error
    return { is: 'attached', ...(await deps.disks.attach(wish)) }
  }
}

/**
 * A call of an instance that died may have attached the disk where nobody wants it any more: no agent
 * mounts what it is not told of, so it is taken off. True when there was such a VM.
 */
async function freeOfStrays(
  { disks, log }: DiskDeps,
  reader: Reader,
  volume: PersistentVolume,
): Promise<boolean> {
  const disk = diskOf(volume)
  const users = (disk && (await disks.get(disk.name, disk.zone))?.users) ?? []
  if (!disk) return false
  const known = new Set(
    attachments(reader)
      .filter(({ spec }) => mayBeOf(reader, spec.source.persistentVolumeName ?? '', disk))
      .map(({ spec }) => spec.nodeName),
  )
  // Of a name that is no node of this cluster, the disk was attached by somebody else.
  const strays = users.filter((vm) => !known.has(vm) && reader.get(`nodes//${vm}`))
  if (strays.length === 0) return false
  log.warn('a disk is attached where nobody wants it', { disk: disk.name, strays })
  for (const vm of strays) await disks.detach(disk.name, disk.zone, vm)
  return true
}

/** Several volumes may stand for one disk; of one that is gone nobody knows which it was. */
function mayBeOf(reader: Reader, volume: string, { name, zone }: DiskRef): boolean {
  const found = volumeNamed(reader, volume)
  const disk = found && diskOf(found)
  return !found || (disk?.name === name && disk.zone === zone)
}
