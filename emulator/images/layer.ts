// Layers of container images: tar files whose bytes follow from their content alone (names in order, no
// times, no owners), so that the same files have the same digest on every machine.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdir, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack, type Pack } from 'tar-stream'

/** One entry of a layer. */
export type Entry =
  | { path: string; kind: 'folder'; mode?: number }
  | { path: string; kind: 'link'; to: string }
  | { path: string; kind: 'text'; text: string }
  | { path: string; kind: 'file'; source: string; mode: number }

export interface Layer {
  file: string
  /** `sha256:…`, of the file; it is not compressed, so it is the digest of its content too. */
  digest: string
  size: number
}

/** Writes the layer; folders that are not named are made. */
export async function writeLayer(file: string, entries: readonly Entry[]): Promise<Layer> {
  await mkdir(dirname(file), { recursive: true })
  const unfinished = `${file}.${process.pid}.new`
  const tar = pack()
  const hash = createHash('sha256')
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  const written = pipeline(tar, hashing, createWriteStream(unfinished))
  for (const entry of entries.toSorted((left, right) => (left.path < right.path ? -1 : 1))) {
    await addEntry(tar, entry)
  }
  tar.finalize()
  await written
  await rename(unfinished, file)
  return { file, digest: `sha256:${hash.digest('hex')}`, size: (await stat(file)).size }
}

/** All files below a folder, as `target/…`; `skip` leaves out what stands at its top. */
export function entriesOf(folder: string, target: string, skip: readonly string[] = []): Entry[] {
  return readdirSync(folder)
    .filter((name) => !skip.includes(name))
    .flatMap((name): Entry[] => {
      const source = join(folder, name)
      const path = `${target}/${name}`
      const info = lstatSync(source)
      if (info.isDirectory()) return [{ path, kind: 'folder' }, ...entriesOf(source, path)]
      if (info.isSymbolicLink()) return [{ path, kind: 'link', to: readlinkSync(source) }]
      const isProgram = (info.mode & 0o111) !== 0
      return info.isFile() ? [{ path, kind: 'file', source, mode: isProgram ? 0o755 : 0o644 }] : []
    })
}

async function addEntry(tar: Pack, entry: Entry): Promise<void> {
  const header = { name: entry.path, mtime: new Date(0), uid: 0, gid: 0 }
  if (entry.kind === 'file') {
    const { size } = await stat(entry.source)
    const to = tar.entry({ ...header, size, mode: entry.mode, type: 'file' })
    await pipeline(createReadStream(entry.source), to)
    return
  }
  await new Promise<void>((resolve, reject) => {
    const done = (error?: Error | null): void => (error ? reject(error) : resolve())
    if (entry.kind === 'folder') {
      tar.entry({ ...header, type: 'directory', mode: entry.mode ?? 0o755 }, done)
    } else if (entry.kind === 'link') {
      tar.entry({ ...header, type: 'symlink', linkname: entry.to, mode: 0o777 }, done)
    } else {
      tar.entry({ ...header, type: 'file', mode: 0o644 }, entry.text, done)
    }
  })
}
