// Frees the engine's disk of images that no container uses, the least recently used first, when it is
// fuller than a threshold: kubelet's rules (pkg/kubelet/images/image_gc_manager.go).

import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import type { Log } from '#shared/ports/log.ts'
import { engineMessage, soon } from './engine.ts'
import { PAUSE_IMAGE } from './pause.ts'

export interface Disk {
  bytes: number
  usedBytes: number
}

export interface ImageGcOptions {
  docker: Docker
  /** How full the disk is that holds the images. */
  disk: () => Promise<Disk>
  log: Log
  /** An event of the node. */
  tell: (reason: string, message: string) => void
  now: () => number
}

/** In percent: above the first one images are removed until the second is reached. */
const HIGH = 85
const LOW = 80
/** An image that has just come may be about to be used. */
const MIN_AGE_MS = 120_000
const EVERY_MS = 300_000

/** Looks now and then, until the signal aborts. */
export function collectImages(options: ImageGcOptions, signal: AbortSignal): void {
  const collector = new ImageCollector(options)
  const timer = setInterval(() => void collector.tryCollect(), EVERY_MS)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer))
}

/** The disk of the engine's own folder, seen from where this agent runs. */
export function engineDisk(docker: Docker, machineRoot: string): () => Promise<Disk> {
  return async () => {
    const info: { DockerRootDir: string } = await docker.info()
    const { bsize, blocks, bavail } = await statfs(join(machineRoot, info.DockerRootDir))
    return { bytes: bsize * blocks, usedBytes: bsize * (blocks - bavail) }
  }
}

export class ImageCollector {
  readonly #options: ImageGcOptions
  /** When an image was first seen, and last seen in use. */
  readonly #seen = new Map<string, { since: number; usedAt: number }>()
  #hasFailed = false

  constructor(options: ImageGcOptions) {
    this.#options = options
  }

  /** As `collect`; a failure is told people when it is not the first one in a row. */
  async tryCollect(): Promise<void> {
    const { log, tell } = this.#options
    try {
      await this.collect()
      this.#hasFailed = false
    } catch (error) {
      const why = engineMessage(error)
      log.warn('images could not be collected', { why })
      if (this.#hasFailed) tell('ImageGCFailed', why)
      this.#hasFailed = true
    }
  }

  /** Looks once; answers how many images were removed. Error: that was not enough. */
  async collect(): Promise<number> {
    const { docker, disk, log, tell } = this.#options
    const images = await this.#unused()
    const { bytes, usedBytes } = await disk()
    if (bytes === 0) {
      const why = `invalid capacity ${bytes} on image filesystem`
      tell('InvalidDiskCapacity', why)
      throw new Error(why)
    }
    if (usedBytes * 100 < bytes * HIGH) return 0
    const wanted = Math.round(usedBytes - (bytes * LOW) / 100)
    let freed = 0
    let count = 0
    const failures: string[] = []
    for (const { Id, Size } of images) {
      if (freed >= wanted) break
      try {
        await docker.getImage(Id).remove({ force: true })
        freed += Size
        count++
        this.#seen.delete(Id)
      } catch (error) {
        // A container has taken it meanwhile.
        failures.push(engineMessage(error))
      }
    }
    log.info('images were removed', { count, freed, wanted })
    if (failures.length > 0) {
      const errors = `errors in image deletion: ${failures.join(', ')}`
      throw new Error(
        `wanted to free ${wanted} bytes, but freed ${freed} bytes space with ${errors}`,
      )
    }
    if (freed >= wanted) return count
    const what = 'Failed to garbage collect required amount of images.'
    const why = `${what} Attempted to free ${wanted} bytes, but only found ${freed} bytes eligible to free.`
    tell('FreeDiskSpaceFailed', why)
    throw new Error(why)
  }

  /** Those that may go, the least recently used first. */
  async #unused(): Promise<Docker.ImageInfo[]> {
    const { docker, now } = this.#options
    const [images, containers] = await Promise.all([
      docker.listImages(soon()),
      docker.listContainers({ all: true, ...soon() }),
    ])
    const used = new Set(containers.map(({ ImageID }) => ImageID))
    const at = now()
    for (const { Id } of images) {
      const before = this.#seen.get(Id)
      const usedAt = used.has(Id) ? at : (before?.usedAt ?? 0)
      this.#seen.set(Id, { since: before?.since ?? at, usedAt })
    }
    const there = new Set(images.map(({ Id }) => Id))
    for (const id of this.#seen.keys()) if (!there.has(id)) this.#seen.delete(id)
    const seenOf = (id: string): { since: number; usedAt: number } =>
      this.#seen.get(id) ?? { since: at, usedAt: at }
    return images
      .filter(({ Id, RepoTags }) => !used.has(Id) && !RepoTags?.includes(PAUSE_IMAGE))
      .filter(({ Id }) => at - seenOf(Id).since >= MIN_AGE_MS)
      .toSorted((a, b) => {
        const [one, other] = [seenOf(a.Id), seenOf(b.Id)]
        return one.usedAt - other.usedAt || one.since - other.since
      })
  }
}
