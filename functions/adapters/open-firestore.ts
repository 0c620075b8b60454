// The connection to Firestore: Google's client for reading and listening, and the same library's
// generated client for writing. The former repeats a commit by itself for up to ten minutes; a
// commit that comes true minutes after it was answered with a 503 would land in a part of the log
// that nobody reads any more. So writes go out once, with a deadline, and the driver decides.

import firestoreModule from '@google-cloud/firestore'
import type { Firestore } from '@google-cloud/firestore'
import { GoogleAuth, googleAuthLibrary, grpc } from 'google-gax'

export interface FirestoreOptions {
  projectId: string
  databaseId?: string
  /**
   * `127.0.0.1:8080` for an emulator; undefined: Google's service with its usual credentials. When
   * FIRESTORE_EMULATOR_HOST is set it must be given here: Google's client obeys that variable
   * anyway, the writer does not.
   */
  host?: string
  /** How long one call may take. */
  deadlineMs?: number
}

/** A field's value on the wire, as far as this driver needs them. */
export type WireValue =
  | { stringValue: string }
  | { integerValue: string }
  | { bytesValue: Uint8Array }
  | { booleanValue: boolean }

/** The document must (not) be there, or be there with exactly this update time. */
export type WireCondition = { exists: boolean } | { updateTime: { seconds: number; nanos: number } }

export interface WireTransform {
  fieldPath: string
  setToServerValue?: 'REQUEST_TIME'
  maximum?: WireValue
}

/** A whole document, or the fields of one that the mask names. */
export interface WireUpdate {
  update: { name: string; fields: Record<string, WireValue> }
  updateMask?: { fieldPaths: string[] }
  updateTransforms?: WireTransform[]
  currentDocument?: WireCondition
}

/** One write of a commit. */
export type WireWrite = WireUpdate | { delete: string; currentDocument?: WireCondition }

interface WireTimestamp {
  seconds?: unknown
  nanos?: number | null
}

/** When the write of a commit took effect, in microseconds, and the server's time in it, if any. */
export interface WriteOutcome {
  updateMicros: number
  requestMicros: number | undefined
}

export interface FirestoreConnection {
  readonly firestore: Firestore
  /** `projects/p/databases/d/documents`: what documents' names begin with. */
  readonly root: string
  /** One atomic commit, sent once. Rejects with the gRPC code, after `deadlineMs` at the latest. */
  commit(writes: WireWrite[], deadlineMs: number): Promise<WriteOutcome[]>
  /** Runs what reads through `firestore`. Error: the connection is closed. */
  read<T>(work: () => Promise<T>): Promise<T>
  /**
   * Waits for the reads under way first: Google's client, closed while one of its requests waits to be
   * repeated, rejects a promise of its own that nobody can catch, and the process ends.
   */
  close(): Promise<void>
}

const DEADLINE_MS = 10_000
/** How long closing waits for reads under way: they have their own deadline, a stop has less time. */
const CLOSE_MS = 3_000

// The generated client's own names.
const SERVICE = 'google.firestore.v1.Firestore'
const BOUNDED_METHODS = [
  'BatchGetDocuments',
  'BeginTransaction',
  'Commit',
  'ListDocuments',
  'RunAggregationQuery',
  'RunQuery',
]

/** Nothing is sent before the first call. */
export function openFirestore(options: FirestoreOptions): FirestoreConnection {
  const { projectId, databaseId = '(default)', deadlineMs = DEADLINE_MS } = options
  const database = `projects/${projectId}/databases/${databaseId}`
  const shared = {
    projectId,
    clientConfig: clientConfig(deadlineMs),
    ...authOf(options.host, projectId),
  }
  const firestore = new firestoreModule.Firestore({
    ...shared,
    databaseId,
    ...(options.host ? readerAddress(options.host) : {}),
  })
  const writer = new firestoreModule.v1.FirestoreClient({
    ...shared,
    ...(options.host ? writerAddress(options.host) : {}),
  })
  const headers = {
    'google-cloud-resource-prefix': database,
    // How the emulator's own clients say that security rules are not for them.
    ...(options.host ? { Authorization: 'Bearer owner' } : {}),
  }
  const reading = new Set<Promise<unknown>>()
  let isClosed = false
  return {
    firestore,
    root: `${database}/documents`,
    async commit(writes, timeout) {
      const [response] = await writer.commit(
        { database, writes },
        { timeout, otherArgs: { headers } },
      )
      return (response.writeResults ?? []).map((result) => ({
        updateMicros: toMicros(result.updateTime ?? response.commitTime),
        requestMicros: optionalMicros(result.transformResults?.[0]?.timestampValue),
      }))
    },
    async read(work) {
      if (isClosed) throw new Error('the connection to Firestore is closed')
      const read = work()
      reading.add(read)
      try {
        return await read
      } finally {
        reading.delete(read)
      }
    },
    async close() {
      isClosed = true
      await Promise.race([Promise.allSettled(reading), after(CLOSE_MS)])
      await Promise.all([firestore.terminate(), writer.close()])
    },
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

/** An emulator asks for no credentials; looking for some would take seconds where there are none. */
function authOf(host: string | undefined, projectId: string): { auth?: GoogleAuth } {
  if (!host) return {}
  return {
    auth: new GoogleAuth({ authClient: new googleAuthLibrary.PassThroughClient(), projectId }),
  }
}

/** The port by itself, because FIRESTORE_EMULATOR_HOST would win against the host's. */
function readerAddress(host: string): object {
  return { host, port: Number(new URL(`http://${host}`).port), ssl: false }
}

function writerAddress(host: string): object {
  const url = new URL(`http://${host}`)
  return {
    servicePath: url.hostname,
    port: Number(url.port),
    sslCreds: grpc.credentials.createInsecure(),
  }
}

function clientConfig(deadlineMs: number): object {
  const method = {
    timeout_millis: deadlineMs,
    retry_codes_name: 'non_idempotent',
    retry_params_name: 'default',
  }
  const methods = Object.fromEntries(BOUNDED_METHODS.map((name) => [name, method]))
  return { interfaces: { [SERVICE]: { methods } } }
}

function toMicros(time: WireTimestamp | null | undefined): number {
  return Number(time?.seconds ?? 0) * 1_000_000 + Math.floor((time?.nanos ?? 0) / 1000)
}

function optionalMicros(time: WireTimestamp | null | undefined): number | undefined {
  return time ? toMicros(time) : undefined
}
