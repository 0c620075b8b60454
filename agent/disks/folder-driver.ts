// Disks of a machine that is a process tree: a device is a link to a folder, which outlives the machine.

import { lstat, mkdir, readdir, readlink, realpath, symlink, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DiskDriver } from './driver.ts'

/** `devices`: where the links are. */
export function createFolderDriver(devices: string): DiskDriver {
  const deviceOf = (name: string): string => join(devices, `google-${name}`)
  return {
    isThere: async (name) => isLink(deviceOf(name)),
    async mount({ deviceName, target }) {
      const folder = await realpath(deviceOf(deviceName))
      if (await isLink(target)) {
        if ((await readlink(target)) === folder) return
        await unlink(target)
      }
      await mkdir(dirname(target), { recursive: true })
      await symlink(folder, target)
    },
    async unmount(target) {
      if (await isLink(target)) await unlink(target)
    },
    // A folder takes what the machine's own disk has.
    grow: async () => {},
    async mountedBelow(folder) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
      return entries
        .filter((entry) => entry.isSymbolicLink())
        .map((entry) => join(folder, entry.name))
    },
  }
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch {
    return false
  }
}
