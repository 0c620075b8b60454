// hostPath volumes: what is there must be what the pod says, or is made. Texts as kubelet's
// (pkg/volume/hostpath).

import type { Stats } from 'node:fs'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { VolumeRefused } from './volumes.ts'

const CHECKS: Readonly<Record<string, { what: string; holds: (found: Stats) => boolean }>> = {
  Directory: { what: 'a directory', holds: (found) => found.isDirectory() },
  File: { what: 'a file', holds: (found) => found.isFile() },
  Socket: { what: 'a socket file', holds: (found) => found.isSocket() },
  CharDevice: { what: 'a character device', holds: (found) => found.isCharacterDevice() },
  BlockDevice: { what: 'a block device', holds: (found) => found.isBlockDevice() },
}

/** `path` as the pod names it, `seenAt` as this agent reaches it. VolumeRefused: it is something else. */
export async function openHostPath(path: string, seenAt: string, type: string): Promise<void> {
  if (path.split('/').includes('..')) throw new VolumeRefused(`path must not contain '..': ${path}`)
  const found = await stat(seenAt).catch(() => undefined)
  // Without a type a folder is made where nothing is, as container runtimes do.
  if (!found && (type === '' || type === 'DirectoryOrCreate')) {
    await mkdir(seenAt, { recursive: true, mode: 0o755 })
    return
  }
  if (!found && type === 'FileOrCreate') {
    await writeFile(seenAt, '', { mode: 0o644, flag: 'a' }).catch((error: unknown) => {
      throw new VolumeRefused(`hostPath type check failed: cannot create ${path}`, { cause: error })
    })
    return
  }
  if (type === '') return
  const check = CHECKS[type.replace(/OrCreate$/, '')]
  if (!check) throw new VolumeRefused(`invalid hostPath type: ${type}`)
  if (!found || !check.holds(found)) {
    throw new VolumeRefused(`hostPath type check failed: ${path} is not ${check.what}`)
  }
}
