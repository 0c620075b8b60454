// Persistent disks of VMs of namespaces: files that take no more room than what is written to them, each
// lent to a VM as a loop device. They are blank when they are made: the VM's agent makes the file system.

import { existsSync } from 'node:fs'
import { mkdir, open, rm, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { devicesOf, lockWriter, unlockWriter, type DiskId, type DiskMedia } from '../disk-media.ts'
import { run } from './run.ts'

/** Disks below `dir/disks`; VMs' own files are below `dir/vms`. */
export function createImageMedia(dir: string): DiskMedia {
  const folderOf = (disk: DiskId): string => resolve(dir, 'disks', disk)
  const imageOf = (disk: DiskId): string => join(folderOf(disk), 'disk.img')
  const linkOf = (vm: string, deviceName: string): string =>
    join(devicesOf(resolve(dir, 'vms', vm)), `google-${deviceName}`)
  return {
    async create(disk, sizeGb) {
      await mkdir(folderOf(disk), { recursive: true })
      if (!existsSync(imageOf(disk))) await setSize(imageOf(disk), sizeGb)
    },
    async resize(disk, sizeGb) {
      await setSize(imageOf(disk), sizeGb)
      for (const loop of await loopsOf(imageOf(disk))) await run('losetup', ['-c', loop])
    },
    async remove(disk) {
      await freeLoops(imageOf(disk))
      await rm(folderOf(disk), { recursive: true, force: true })
    },
    async attach(disk, { vm, deviceName, isReadOnly }) {
      if (!isReadOnly) await lockWriter(folderOf(disk), disk, vm)
      const image = imageOf(disk)
      // One device is enough for all that only read.
      const [known] = await loopsOf(image)
      const mode = isReadOnly ? ['--read-only'] : []
      const made = known ?? (await run('losetup', ['--find', '--show', ...mode, image])).trim()
      await mkdir(devicesOf(resolve(dir, 'vms', vm)), { recursive: true })
      await rm(linkOf(vm, deviceName), { force: true })
      await symlink(made, linkOf(vm, deviceName))
    },
    async detach(disk, { vm, deviceName }) {
      await rm(linkOf(vm, deviceName), { force: true })
      const isLast = await unlockWriter(folderOf(disk), vm)
      if (isLast) await freeLoops(imageOf(disk))
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

/** The kernel lets go of a device when the last mount of it is gone. */
async function freeLoops(image: string): Promise<void> {
  for (const loop of await loopsOf(image)) await run('losetup', ['--detach', loop])
}

async function loopsOf(image: string): Promise<string[]> {
  if (!existsSync(image)) return []
  const text = await run('losetup', ['--noheadings', '--output', 'NAME', '--associated', image])
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
}
