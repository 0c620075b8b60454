// What holds the data and carries the messages of a laptop's Wherry: the official Firestore and
// Pub/Sub emulators where they can run, else the memory store and our own Pub/Sub server. Either way
// the agents and functions speak to Pub/Sub through Google's client library.

import { createFirestoreStore } from '#functions/adapters/firestore-store.ts'
import { openFirestore } from '#functions/adapters/open-firestore.ts'
import { createPubsubBus, type PubsubBus } from '#functions/adapters/pubsub-bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Store } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import { createMemoryStore } from './adapters/memory-store.ts'
import { startGoogleEmulators, type GoogleEmulator } from './google/emulators.ts'
import { startPubsubServer } from './google/pubsub-server.ts'

interface BackendOptions {
  project: string
  /** For the emulators' own output. */
  dir: string
  clock: Clock
  log: Log
  env: Readonly<Record<string, string | undefined>>
}

export interface Backend {
  store: Store
  bus: PubsubBus
  /** Where Pub/Sub is, for the agents' environment. */
  pubsubHost: string
  firestore: GoogleEmulator | undefined
  pubsub: GoogleEmulator | undefined
  /** What is used, in a few words. */
  summary: string
  /** What this machine lacks, a sentence each. */
  missing: string[]
  /** A cheap call that shows whether the store answers. */
  pingStore(): Promise<void>
  stop(): Promise<void>
}

/** Of the emulator's heap: a demo's clusters and an hour of their history fit many times. */
const FIRESTORE_HEAP_MB = 1024
const FIRST_ANSWER_MS = 60_000

/** Starts both sides; what cannot be had is replaced and named. */
export async function openBackend(options: BackendOptions): Promise<Backend> {
  const { project, clock, log } = options
  const emulators = await startGoogleEmulators({
    dir: options.dir,
    log,
    env: options.env,
    heapMb: FIRESTORE_HEAP_MB,
  })
  const { firestore, pubsub } = emulators
  const ownPubsub = pubsub ? undefined : await startPubsubServer({ clock, log })
  const pubsubHost = pubsub?.host ?? ownPubsub?.host ?? ''
  const bus = createPubsubBus({ projectId: project, clock, log, host: pubsubHost, create: true })
  await bus.createTopics()
  const connection = firestore
    ? openFirestore({ projectId: project, host: firestore.host })
    : undefined
  const store = connection
    ? createFirestoreStore({ connection, clock, log })
    : createMemoryStore({ clock })
  await untilAnswered(store)
  return {
    store,
    bus,
    pubsubHost,
    firestore,
    pubsub,
    summary: `${firestore ? 'Firestore emulator' : 'memory store'}, ${pubsub ? 'Pub/Sub emulator' : 'own Pub/Sub server'}`,
    missing: emulators.missing,
    pingStore: () => ping(store),
    stop: async () => {
      await bus.close()
      await connection?.close()
      await ownPubsub?.stop()
      await emulators.stop()
    },
  }
}

async function ping(store: Store): Promise<void> {
  await store.get('wherry-fleet', 'probes//ping')
}

/** What was just started is slow at first, more so on a busy machine; later questions cannot wait. */
async function untilAnswered(store: Store): Promise<void> {
  const deadline = Date.now() + FIRST_ANSWER_MS
  for (;;) {
    try {
      await ping(store)
      return
    } catch (error) {
      if (!isReason(error, 'ServiceUnavailable') || Date.now() > deadline) throw error
    }
  }
}
