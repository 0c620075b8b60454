// What an emulated persistent disk is made of: the port between the disks resource and the drivers that
// give a disk a body. Drivers: createFolderMedia (a folder that outlives its VM, seen by a VM that is a
// process tree), openImageMedia (netns/disk-media.ts: a block device), createMemoryMedia (nothing; for
// tests).

import { mkdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GoogleError } from './google-error.ts'

/** `zone/name`: one disk. */
export type DiskId = string

export interface DiskMedia {
  /** Makes it, blank; nothing happens when it is there. */
  create(disk: DiskId, sizeGb: number): Promise<void>
  resize(disk: DiskId, sizeGb: number): Promise<void>
  remove(disk: DiskId): Promise<void>
  /** Lets a VM see it under a device name. Rejects while another VM may write to it. */
  attach(disk: DiskId, to: { vm: string; deviceName: string; isReadOnly: boolean }): Promise<void>
  /** It is not seen there any more. Nothing happens when it was not. */
  detach(disk: DiskId, from: { vm: string; deviceName: string }): Promise<void>
}

/** Where a VM whose files are in `home` finds its devices, as in /dev/disk/by-id. */
export function devicesOf(home: string): string {
  return join(home, 'devices')
}

/**
 * Disks as folders below `dir/disks`, the VMs' own files being in `dir/vms`. A device is a link to the folder's
 * data. The file `writer` names the one VM that may write: it is made exclusively, whoever comes second
 * is refused, and a crash of the emulator leaves it in place.
 */
export function createFolderMedia(dir: string): DiskMedia {
  const folderOf = (disk: DiskId): string => resolve(dir, 'disks', disk)
  const dataOf = (disk: DiskId): string => join(folderOf(disk), 'data')
  const linkOf = (vm: string, deviceName: string): string =>
    join(devicesOf(resolve(dir, 'vms', vm)), `google-${deviceName}`)
  return {
    create: async (disk) => void (await mkdir(dataOf(disk), { recursive: true })),
    // A folder takes what the machine's disk takes.
    resize: async () => {},
    remove: (disk) => rm(folderOf(disk), { recursive: true, force: true }),
    async attach(disk, { vm, deviceName, isReadOnly }) {
      if (!isReadOnly) await lockWriter(folderOf(disk), disk, vm)
      const link = linkOf(vm, deviceName)
      await mkdir(dirname(link), { recursive: true })
      await unlink(link).catch(ignoreMissing)
      await symlink(dataOf(disk), link)
    },
    async detach(disk, { vm, deviceName }) {
      await unlink(linkOf(vm, deviceName)).catch(ignoreMissing)
      await unlockWriter(folderOf(disk), vm)
    },
  }
}

/** From now on this VM is the one that may write. Rejects while it is another. */
export async function lockWriter(folder: string, disk: DiskId, vm: string): Promise<void> {
  const file = join(folder, 'writer')
  try {
    await writeFile(file, vm, { flag: 'wx' })
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    const writer = await readFile(file, 'utf8')
    if (writer === vm) return
    throw new GoogleError(
      'resourceInUseByAnotherResource',
      `The disk resource '${disk}' is already being used by '${writer}'`,
    )
  }
}

/** The VM may write no more. True when it was the one that could. */
export async function unlockWriter(folder: string, vm: string): Promise<boolean> {
  const file = join(folder, 'writer')
  if ((await readFile(file, 'utf8').catch(() => undefined)) !== vm) return false
  await unlink(file)
  return true
}

function ignoreMissing(error: unknown): void {
  if (!hasCode(error, 'ENOENT')) throw error
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** Nothing is kept. */
export function createMemoryMedia(): DiskMedia {
  const nothing = async (): Promise<void> => {}
  return { create: nothing, resize: nothing, remove: nothing, attach: nothing, detach: nothing }
}
