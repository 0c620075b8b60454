// A volume's files on disk, replaced atomically as kubelet's AtomicWriter does it: each state is a
// folder of its own (`..1700000000000`), `..data` points to the current one, and the names a container
// sees point through `..data`. A reader sees the old files or the new ones, never a mix.

import {
  chmod,
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { VolumeFile } from './volumes.ts'

const DATA = '..data'

/** Makes the folder hold exactly these files. Does nothing when it does already. */
export async function writeVolume(folder: string, files: readonly VolumeFile[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  const current = await currentOf(folder)
  if (current && (await holds(join(folder, current), files))) return
  const next = await newName(folder)
  await mkdir(join(folder, next))
  for (const { path, bytes, mode } of files) {
    const file = join(folder, next, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, bytes, { mode })
    await chmod(file, mode)
  }
  await symlink(next, join(folder, `${DATA}_tmp`))
  await rename(join(folder, `${DATA}_tmp`), join(folder, DATA))
  await linkNames(folder, files)
  if (current) await rm(join(folder, current), { recursive: true, force: true })
}

/** One link for the first part of each path; links of names that are gone are removed. */
async function linkNames(folder: string, files: readonly VolumeFile[]): Promise<void> {
  const wanted = new Set(files.map(({ path }) => path.split('/')[0] ?? path))
  for (const name of await readdir(folder)) {
    if (!name.startsWith('..') && !wanted.has(name)) await rm(join(folder, name))
    wanted.delete(name)
  }
  for (const name of wanted) await symlink(join(DATA, name), join(folder, name))
}

async function currentOf(folder: string): Promise<string | undefined> {
  try {
    return await readlink(join(folder, DATA))
  } catch {
    return undefined
  }
}

async function newName(folder: string): Promise<string> {
  const taken = new Set(await readdir(folder))
  for (let number = Date.now(); ; number++) {
    if (!taken.has(`..${number}`)) return `..${number}`
  }
}

async function holds(folder: string, files: readonly VolumeFile[]): Promise<boolean> {
  const there = await listFiles(folder)
  if (there.length !== files.length) return false
  for (const { path, bytes, mode } of files) {
    const file = join(folder, path)
    try {
      const [old, stat] = await Promise.all([readFile(file), lstat(file)])
      if (!old.equals(bytes) || (stat.mode & 0o777) !== mode) return false
    } catch {
      return false
    }
  }
  return true
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}
