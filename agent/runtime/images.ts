// The images of the process runtime: folders that hold an image.json. They are looked for afresh at
// each pull, so an image that was just written is found without a restart.

import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isRecord } from '../json.ts'
import { normaliseImage } from './runtime.ts'
import type { Image } from './runtime.ts'

/** An image and where it is. */
export interface FolderImage extends Image {
  folder: string
  /** All normalised names it answers to. */
  references: readonly string[]
}

const DEPTH_MAX = 3
const FILES_MAX = 5000

/** Every image below these folders. A folder that is not there holds none. */
export async function findImages(folders: readonly string[]): Promise<FolderImage[]> {
  const found = await Promise.all(folders.map((folder) => search(resolve(folder), DEPTH_MAX)))
  const images = await Promise.all(found.flat().map(readImage))
  return images.filter((image) => image !== undefined)
}

/** The one of `images` that a normalised reference names, under that name. */
export function pickImage(
  images: readonly FolderImage[],
  reference: string,
): FolderImage | undefined {
  const [name, digest] = reference.split('@')
  const found = images.find((image) =>
    digest
      ? image.id === digest && image.references.some((each) => each.startsWith(`${name}:`))
      : image.references.includes(reference),
  )
  return found && { ...found, reference }
}

async function search(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  if (entries.some(({ name }) => name === 'image.json')) return [folder]
  if (depth === 0) return []
  const below = entries
    .filter((entry) => entry.isDirectory() && !/^(node_modules|\..*)$/.test(entry.name))
    .map((entry) => search(join(folder, entry.name), depth - 1))
  return (await Promise.all(below)).flat()
}

async function readImage(folder: string): Promise<FolderImage | undefined> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(join(folder, 'image.json'), 'utf8'))
  } catch {
    // Half-written or not ours: the pod that wants it is told that it is not there.
    return undefined
  }
  if (!isRecord(json) || typeof json['name'] !== 'string') return undefined
  const tags = texts(json['tags'])
  const references = (tags.length > 0 ? tags : ['latest'])
    .map((tag) => normaliseImage(`${String(json['name'])}:${tag}`))
    .filter((reference) => reference !== undefined)
  const [reference] = references
  if (!reference) return undefined
  return {
    folder,
    references,
    reference,
    ...(await fingerprint(folder)),
    entrypoint: texts(json['entrypoint']),
    cmd: texts(json['cmd']),
    env: isRecord(json['env'])
      ? Object.fromEntries(Object.entries(json['env']).map(([key, value]) => [key, String(value)]))
      : {},
    digest: undefined,
    user: '',
    workdir: typeof json['workdir'] === 'string' ? json['workdir'] : undefined,
    ports: Array.isArray(json['ports'])
      ? json['ports'].filter((port) => Number.isInteger(port))
      : [],
  }
}

/** Names, sizes and times of the files: enough to see that an image was changed. */
async function fingerprint(folder: string): Promise<{ id: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  for (const file of files.slice(0, FILES_MAX)) {
    const { size, mtimeMs } = await stat(file)
    sizeBytes += size
    hash.update(`${file.slice(folder.length)}\0${size}\0${mtimeMs}\0`)
  }
  return { id: `sha256:${hash.digest('hex')}`, sizeBytes }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
