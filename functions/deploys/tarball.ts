// Reads a repository's archive as it comes: bounded whatever is in it, nothing is written to a disk,
// links are not followed, names that lead out of the archive are refused.

import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Extract, type Header } from 'tar-stream'
import { joinPath, renderError, type Tree } from '#shared/deploy/tree.ts'
import { StatusError } from '#shared/status.ts'
import { GithubBusy } from './github-errors.ts'

export interface TarballLimits {
  packedBytes: number
  unpackedBytes: number
  entries: number
  /** Of what is kept. */
  fileBytes: number
  keptBytes: number
}

const LIMITS: TarballLimits = {
  packedBytes: 100_000_000,
  unpackedBytes: 500_000_000,
  entries: 100_000,
  fileBytes: 1_048_576,
  keptBytes: 32_000_000,
}

/** Outside of spec.path a base may have these; all else there is somebody's program or picture. */
const KEPT_ANYWHERE =
  /(^|\/)(kustomization|Kustomization)$|\.(ya?ml|json|env|properties|conf|cfg|ini|toml|txt|sh|sql|html|css|js|xml)$/

/**
 * The files of the archive that a deploy of `path` may read. Errors: Invalid (a bomb, a path that
 * leads out, a link where manifests are), GithubBusy (the archive broke off).
 */
export async function readTarball(
  body: ReadableStream<Uint8Array>,
  path: string,
  limits: Partial<TarballLimits> = {},
): Promise<Tree> {
  const reading = new Reading(joinPath('', path), { ...LIMITS, ...limits })
  const tar = extract()
  const read = async (): Promise<void> => {
    for await (const entry of tar) await reading.take(entry)
  }
  const counted = (limit: number, what: string) =>
    async function* count(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      let bytes = 0
      for await (const chunk of source) {
        bytes += chunk.length
        if (bytes > limit) throw renderError('the archive', `has more than ${limit} bytes ${what}`)
        yield chunk
      }
    }
  const packed = Readable.from(body)
  try {
    const unpacking = pipeline(
      packed,
      counted(reading.limits.packedBytes, 'packed'),
      createGunzip(),
      counted(reading.limits.unpackedBytes, 'unpacked'),
      // Its types are those of another stream library that Node's pipeline accepts.
      tar as unknown as Writable,
    )
    await Promise.all([unpacking, read()])
  } catch (error) {
    tar.destroy()
    packed.destroy()
    if (reading.problem) throw reading.problem
    if (error instanceof StatusError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new GithubBusy(`the archive cannot be read: ${why}`, undefined, { cause: error })
  }
  return reading.tree
}

/** One file as it streams by. */
type Entry = (Extract extends AsyncIterable<infer Each> ? Each : never) & { header: Header }

class Reading {
  readonly tree = new Map<string, Uint8Array>()
  readonly limits: TarballLimits
  /** What was refused; the stream's own error may hide it. */
  problem: StatusError | undefined
  readonly #path: string
  #entries = 0
  #kept = 0

  constructor(path: string, limits: TarballLimits) {
    this.#path = path
    this.limits = limits
  }

  async take(entry: Entry): Promise<void> {
    try {
      await this.#take(entry)
    } catch (error) {
      if (error instanceof StatusError) this.problem = error
      throw error
    }
  }

  async #take(entry: Entry): Promise<void> {
    const { name, type, size } = entry.header
    if (++this.#entries > this.limits.entries) {
      throw renderError('the archive', `has more than ${this.limits.entries} entries`)
    }
    const inside = insideOf(name)
    const isBelow = this.#path === '' || `${inside}/`.startsWith(`${this.#path}/`)
    if ((type === 'symlink' || type === 'link') && isBelow && isManifest(inside)) {
      throw renderError(inside, 'is a link, and links are not followed')
    }
    const isKept =
      (type === 'file' || type === 'contiguous-file') &&
      inside !== '' &&
      (isBelow || KEPT_ANYWHERE.test(inside))
    if (!isKept || size > this.limits.fileBytes) {
      if (isKept && isBelow && isManifest(inside)) {
        throw renderError(inside, `has ${size} bytes, at most ${this.limits.fileBytes}`)
      }
      entry.resume()
      return
    }
    this.#kept += size
    if (this.#kept > this.limits.keptBytes) {
      throw renderError(
        'the archive',
        `has more than ${this.limits.keptBytes} bytes of small files`,
      )
    }
    const chunks: Uint8Array[] = []
    for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk)
    this.tree.set(inside, Buffer.concat(chunks))
  }
}

/** Without GitHub's `owner-name-commit/`. Error: the name leads out of the archive. */
function insideOf(name: string): string {
  const parts = name.split('/')
  if (name.startsWith('/') || name.includes('\\') || parts.includes('..') || name.includes('\0')) {
    throw renderError('the archive', `holds a path that leads out of it: ${name.slice(0, 100)}`)
  }
  return parts
    .slice(1)
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

function isManifest(path: string): boolean {
  return /\.ya?ml$|(^|\/)Kustomization$/.test(path)
}
