// A volume's files on disk, replaced atomically as kubelet's AtomicWriter does it: each state is a
// folder of its own (`..1700000000000`), `..data` points to the current one, and the names a container
// sees point through `..data`. A reader sees the old files or the new ones, never a mix.

import { constants } from 'node:fs'
import {
  chmod,
  lchown,
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
const GROUP_READS = 0o440
const GROUP_WRITES = 0o660
/** May be entered, and hands its group on. */
const FOLDER_OF_GROUP = 0o2110

/**
 * Makes the folder hold exactly these files. Does nothing when it does already. `group`: who may read
 * them besides their owner.
 */
export async function writeVolume(
  folder: string,
  given: readonly VolumeFile[],
  group?: number,
): Promise<void> {
  const files = group === undefined ? given : given.map(forGroup)
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
  if (group !== undefined) await giveToGroup(join(folder, next), group, true)
  await symlink(next, join(folder, `${DATA}_tmp`))
  await rename(join(folder, `${DATA}_tmp`), join(folder, DATA))
  await linkNames(folder, files)
  if (current) await rm(join(folder, current), { recursive: true, force: true })
}

/**
 * Lets a group read, and unless `isReadOnly` write, all of a folder; what is made in it later belongs
 * to the group, too. As kubelet's SetVolumeOwnership: links are left alone.
 */
export async function giveToGroup(
  folder: string,
  group: number,
  isReadOnly: boolean,
): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = [
    folder,
    ...entries
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name)),
  ]
  for (const path of paths) {
    const { mode } = await lstat(path)
    const isFolder = (mode & constants.S_IFMT) === constants.S_IFDIR
    const rights = isReadOnly ? GROUP_READS : GROUP_WRITES
    await lchown(path, (await lstat(path)).uid, group)
    await chmod(path, (mode & 0o7777) | rights | (isFolder ? FOLDER_OF_GROUP : 0))
  }
}

function forGroup(file: VolumeFile): VolumeFile {
  return { ...file, mode: file.mode | GROUP_READS }
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
