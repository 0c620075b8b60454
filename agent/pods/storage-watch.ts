// Looks now and then how much of the node's disk pods use that have a limit, and evicts those that have
// passed it. Pods without a limit cost nothing.

import { execFile } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Log } from '#shared/ports/log.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { podFolder } from './pod-folder.ts'
import type { Pods } from './pods.ts'
import { excessOf, hasStorageLimit } from './storage-limits.ts'
import type { StorageUsage } from './storage-limits.ts'
import type { PodWorker } from './worker.ts'

export interface StorageWatchOptions {
  pods: Pick<Pods, 'all'>
  runtime: Pick<Runtime, 'isContained' | 'writtenBytes'>
  stateDir: string
  log: Log
}

/** As kubelet's eviction manager. */
const EVERY_MS = 10_000
/** A volume with very many files takes its time; the next look is after this one. */
const COUNT_MS = 120_000

const run = promisify(execFile)

/** Looks until the signal aborts. Where containers have no files of their own nothing is measured. */
export function watchStorage(options: StorageWatchOptions, signal: AbortSignal): void {
  if (!options.runtime.isContained) return
  let timer: NodeJS.Timeout | undefined
  const look = async (): Promise<void> => {
    for (const worker of options.pods.all()) {
      if (signal.aborted) return
      await lookAt(worker, options).catch((error: unknown) => {
        options.log.warn('the storage of a pod could not be measured', { error })
      })
    }
    later()
  }
  const later = (): void => {
    if (signal.aborted) return
    timer = setTimeout(() => void look(), EVERY_MS)
    timer.unref()
  }
  signal.addEventListener('abort', () => clearTimeout(timer))
  later()
}

async function lookAt(worker: PodWorker, options: StorageWatchOptions): Promise<void> {
  const { record } = worker
  if (!hasStorageLimit(record.pod) || record.failed || record.leaving || record.isFinished) return
  const message = excessOf(record.pod, await usageOf(worker, options))
  if (message) worker.evict(message)
}

async function usageOf(
  worker: PodWorker,
  { runtime, stateDir }: StorageWatchOptions,
): Promise<StorageUsage> {
  const { metadata, spec } = worker.record.pod
  const folder = podFolder(stateDir, metadata.uid)
  const emptyDirs = new Map<string, number>()
  for (const { name, emptyDir } of spec.volumes ?? []) {
    if (!emptyDir || emptyDir.medium === 'Memory') continue
    emptyDirs.set(name, await folderBytes(join(folder, 'volumes', name)))
  }
  const containers = new Map<string, number>()
  for (const { name, id } of worker.running()) {
    const written = (await runtime.writtenBytes(id)) ?? 0
    containers.set(name, written + (await logBytes(join(folder, name))))
  }
  return { emptyDirs, containers }
}

/** As the disk counts it, without what is mounted below. */
async function folderBytes(folder: string): Promise<number> {
  const options = { timeout: COUNT_MS, encoding: 'utf8' } as const
  const text = await run('du', ['-s', '-x', '-B1', folder], options).then(
    ({ stdout }) => stdout,
    // Files that went while they were counted; the sum is there all the same.
    (error: unknown) => (hasOutput(error) ? error.stdout : ''),
  )
  return Number(text.split('\t')[0]) || 0
}

async function logBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = names.map(async (name) => (await stat(join(folder, name))).size)
  return (await Promise.allSettled(sizes)).reduce(
    (total, size) => total + (size.status === 'fulfilled' ? size.value : 0),
    0,
  )
}

function hasOutput(error: unknown): error is { stdout: string } {
  return error instanceof Error && 'stdout' in error && typeof error.stdout === 'string'
}
