// Keeps what a laptop's clusters hold across restarts. The official Firestore emulator forgets all
// when it stops, and an import there would change every version; so the objects are kept in one file
// and committed anew at the next start. Watches from before see 410 and list again, as after any
// restore of a Kubernetes cluster.

import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { apiVersionOf, resourceOf } from '#shared/api/kind.ts'
import { CATALOG } from '#shared/api/catalog.ts'
import { LAST_WORDS } from '#shared/api/last-words.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Reader } from '#shared/view/reader.ts'
import { OPERATIONS } from '#functions/gke/operations.ts'
import type { LiveViews } from '#functions/cluster/live-view.ts'

/** Objects a cluster, by cluster id; the fleet is one of them. */
type SavedClusters = Record<string, { key: Key; object: KubeObject }[]>

interface Saved {
  format: 1
  clusters: SavedClusters
  compute?: unknown
}

interface KeeperDeps {
  views: LiveViews
  clock: Clock
  log: Log
  file: string
  /** The Compute emulator's own state, saved beside the objects. */
  saveCompute(): unknown
}

export interface Keeper {
  /** Reads the file; commits its objects into an empty store. Answers the Compute part, if any. */
  restore(): Promise<{ clusters: number; compute: unknown }>
  /** From now on saves soon after each change. */
  start(): Promise<void>
  /** Something that is not an object has changed: Compute Engine's part. */
  changed(): void
  /** Saves a last time and ends. */
  stop(): Promise<void>
}

/** A commit of this many objects stays far below what one commit may carry. */
const OBJECTS_PER_COMMIT = 200
const SAVE_DELAY_MS = 500

export function createKeeper(deps: KeeperDeps): Keeper {
  const { views, clock, log, file } = deps
  const ends = new Map<string, () => void>()
  const abort = new AbortController()
  let saving: Promise<void> | undefined

  function save(): void {
    const clusters: SavedClusters = {}
    for (const [cluster, reader] of readers) clusters[cluster] = objectsOf(reader())
    const saved: Saved = { format: 1, clusters, compute: deps.saveCompute() }
    const draft = `${file}.new`
    writeFileSync(draft, JSON.stringify(saved), { mode: 0o600 })
    renameSync(draft, file)
  }

  async function saveLater(): Promise<void> {
    await clock.sleep(SAVE_DELAY_MS, abort.signal)
    saving = undefined
    if (!abort.signal.aborted) save()
  }

  function saveSoon(): void {
    saving ??= saveLater()
  }

  const readers = new Map<string, () => Reader>()

  async function keep(cluster: string): Promise<void> {
    if (ends.has(cluster)) return
    const live = await views.open(cluster)
    readers.set(cluster, () => live.current)
    ends.set(
      cluster,
      live.listen(() => {
        if (cluster === FLEET)
          void keepAll().catch((error: unknown) =>
            log.error('cannot keep a new cluster', { error }),
          )
        saveSoon()
      }),
    )
  }

  async function keepAll(): Promise<void> {
    const fleet = await views.open(FLEET)
    const ids = new Set(fleet.current.list(CLUSTERS).map((cluster) => cluster.metadata.name))
    for (const id of ids) await keep(id)
    for (const [cluster, end] of ends) {
      if (cluster === FLEET || ids.has(cluster)) continue
      end()
      ends.delete(cluster)
      readers.delete(cluster)
    }
  }

  return {
    restore: () => restore(deps),
    // Before everything is kept, saving would lose what is not there yet.
    changed: () => {
      if (readers.size > 0) saveSoon()
    },
    start: async () => {
      await (await views.open(FLEET)).catchUp()
      await keep(FLEET)
      await keepAll()
    },
    stop: async () => {
      abort.abort()
      await saving
      for (const end of ends.values()) end()
      save()
    },
  }
}

async function restore({
  views,
  file,
  log,
}: KeeperDeps): Promise<{ clusters: number; compute: unknown }> {
  const saved = readSaved(file, log)
  const fleet = await views.open(FLEET)
  if (!saved || (await fleet.catchUp()).list(CLUSTERS).length > 0)
    return { clusters: 0, compute: saved?.compute }
  for (const [cluster, objects] of Object.entries(saved.clusters)) {
    const live = await views.open(cluster)
    for (let from = 0; from < objects.length; from += OBJECTS_PER_COMMIT) {
      await live.commit({
        id: `restore-${randomUUID()}`,
        cause: { actor: 'emulator', verb: 'restore' },
        writes: objects
          .slice(from, from + OBJECTS_PER_COMMIT)
          .map(({ key, object }) => ({ key, object, expect: null })),
      })
    }
  }
  return { clusters: Object.keys(saved.clusters).length - 1, compute: saved.compute }
}

function readSaved(file: string, log: Log): Saved | undefined {
  if (!existsSync(file)) return undefined
  try {
    const saved: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isSaved(saved)) return saved
  } catch (error) {
    log.error('the saved state cannot be read', { error })
  }
  const aside = `${file}.unreadable`
  renameSync(file, aside)
  log.warn('started empty; the state of before was put aside', { aside })
  return undefined
}

function isSaved(value: unknown): value is Saved {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === 1 &&
    'clusters' in value
  )
}

const STORED_KINDS = [
  ...CATALOG.filter((kind) => kind.verbs.includes('create')).map((kind) => ({
    resource: resourceOf(kind),
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
  })),
  { resource: CLUSTERS, apiVersion: 'container.wherry.dev/v1', kind: 'Cluster' },
  { resource: OPERATIONS, apiVersion: 'container.wherry.dev/v1', kind: 'Operation' },
  { resource: LAST_WORDS, apiVersion: 'container.wherry.dev/v1', kind: 'LastWords' },
]

function objectsOf(reader: Reader): { key: Key; object: KubeObject }[] {
  const objects = new Map<Key, KubeObject>()
  for (const { resource, apiVersion, kind } of STORED_KINDS) {
    for (const object of reader.list(resource)) {
      if (object.apiVersion !== apiVersion || object.kind !== kind) continue
      const { resourceVersion: _, ...metadata } = object.metadata
      objects.set(keyOf(resource, metadata.namespace, metadata.name), { ...object, metadata })
    }
  }
  return [...objects].map(([key, object]) => ({ key, object }))
}
