// Persistent disks of VMs of namespaces: files that take no more room than what is written to them, each
// lent to a VM as a loop device. They are blank when they are made: the VM's agent makes the file system.
// Files outlive the emulator, devices do not: each start makes them anew.

import { existsSync } from 'node:fs'
import { mkdir, open, rm, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { devicesOf, lockWriter, unlockWriter, type DiskId, type DiskMedia } from '../disk-media.ts'
import { GoogleError } from '../google-error.ts'
import { freeLoops, growLoops, makeLoop, noteLoops, sweepLoops } from './loop-devices.ts'

interface ImageMedia extends DiskMedia {
  /** When no VM runs any more: the devices are this machine's again. */
  close(): Promise<void>
}

interface Lent {
  device: string
  /** Names of the VMs that see it. */
  vms: Set<string>
}

/** A VM that was cut off lets go within moments; somebody's program on this machine may not. */
const PATIENCE_MS = 10_000

/** Disks below `dir/disks`; VMs' own files are below `dir/vms`. `slot` is the name of who holds the devices. */
export async function openImageMedia(
  slot: string,
  dir: string,
  { patienceMs = PATIENCE_MS } = {},
): Promise<ImageMedia> {
  const folder = resolve(dir, 'disks')
  const folderOf = (disk: DiskId): string => join(folder, disk)
  const imageOf = (disk: DiskId): string => join(folderOf(disk), 'disk.img')
  const linkOf = (vm: string, deviceName: string): string =>
    join(devicesOf(resolve(dir, 'vms', vm)), `google-${deviceName}`)
  const lent = new Map<DiskId, Lent>()
  await noteLoops(slot, folder)
  await freeLoops(folder, patienceMs)

  async function lend(disk: DiskId, isReadOnly: boolean): Promise<Lent> {
    const known = lent.get(disk)
    // One device is enough for all that only read.
    if (known && known.vms.size > 0) return known
    // Two devices of one file would not see each other's writes.
    if (!(await freeLoops(imageOf(disk), patienceMs))) {
      const message = `The disk resource '${disk}' is still mounted where it was detached`
      throw new GoogleError('resourceInUseByAnotherResource', message)
    }
    const fresh = { device: await makeLoop(imageOf(disk), isReadOnly), vms: new Set<string>() }
    lent.set(disk, fresh)
    return fresh
  }

  return {
    async create(disk, sizeGb) {
      await mkdir(folderOf(disk), { recursive: true })
      if (!existsSync(imageOf(disk))) await setSize(imageOf(disk), sizeGb)
    },
    async resize(disk, sizeGb) {
      await setSize(imageOf(disk), sizeGb)
      await growLoops(imageOf(disk))
    },
    async remove(disk) {
      lent.delete(disk)
      await freeLoops(imageOf(disk), 0)
      await rm(folderOf(disk), { recursive: true, force: true })
    },
    async attach(disk, { vm, deviceName, isReadOnly }) {
      if (!isReadOnly) await lockWriter(folderOf(disk), disk, vm)
      const { device, vms } = await lend(disk, isReadOnly)
      vms.add(vm)
      await mkdir(devicesOf(resolve(dir, 'vms', vm)), { recursive: true })
      await rm(linkOf(vm, deviceName), { force: true })
      await symlink(device, linkOf(vm, deviceName))
    },
    async detach(disk, { vm, deviceName }) {
      await rm(linkOf(vm, deviceName), { force: true })
      await unlockWriter(folderOf(disk), vm)
      const known = lent.get(disk)
      known?.vms.delete(vm)
      if (known && known.vms.size > 0) return
      lent.delete(disk)
      // The kernel lets go of a device when the last mount of it is gone.
      await freeLoops(imageOf(disk), 0)
    },
    async close() {
      lent.clear()
      await sweepLoops(slot, patienceMs)
    },
  }
}

async function setSize(image: string, sizeGb: number): Promise<void> {
  const file = await open(image, 'a')
  try {
    const bytes = sizeGb * 2 ** 30
    if ((await file.stat()).size < bytes) await file.truncate(bytes)
  } finally {
    await file.close()
  }
}
