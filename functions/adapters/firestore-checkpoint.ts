// A cluster's checkpoint: a head, and as many data documents as it takes. The head is turned last,
// so that readers see the old one or the new one, whole.

import firestoreModule from '@google-cloud/firestore'
import type { DocumentSnapshot } from '@google-cloud/firestore'
import type { Checkpoint, Version } from '#shared/ports/store.ts'
import { COMMIT_BYTES_MAX } from '#shared/ports/store.ts'
import { unavailable } from '#shared/deadline.ts'
import { frozen } from '#shared/view/frozen.ts'
import { cut, packData, unpackData } from './firestore-content.ts'
import { atVersion, checkpointsPath } from './firestore-layout.ts'
import { snapshotVersion } from './firestore-revision.ts'
import { GRPC, codeOf, dataOf } from './firestore-session.ts'
import type { FirestoreSession } from './firestore-session.ts'
import type { WireCondition, WireWrite } from './open-firestore.ts'

type Entry = Checkpoint['objects'][number]

/** Of JSON text before compression: what one slice of a checkpoint holds. */
const SLICE_CHARS = 4_000_000
const ATTEMPTS_MAX = 3

interface Head {
  version: Version
  cursor: string
  parts: number
}

/** Store.readCheckpoint. */
export async function readCheckpoint(
  session: FirestoreSession,
  cluster: string,
): Promise<Checkpoint | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const head = headOf(await readHead(session, cluster))
    if (!head) return undefined
    const paths = Array.from({ length: head.parts }, (_, part) =>
      partOf(cluster, head.version, part),
    )
    const parts = await session.read('reading a checkpoint', paths)
    // Else a newer one has taken its place in between.
    if (parts.every((part) => part.exists)) return frozen(assemble(head, parts))
  }
  throw unavailable('the checkpoint is being replaced again and again')
}

/** Store.writeCheckpoint. */
export async function writeCheckpoint(
  session: FirestoreSession,
  cluster: string,
  checkpoint: Checkpoint,
): Promise<void> {
  let head = await readHead(session, cluster)
  if (isAsNew(head, checkpoint)) return
  const { version } = checkpoint
  const parts = slice(checkpoint.objects)
  await writeParts(session, cluster, version, parts)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    try {
      await turnHead(session, cluster, checkpoint, parts.length, head)
      await deleteOlder(session, cluster, version)
      return
    } catch (error) {
      const code = codeOf(error)
      if (code !== GRPC.alreadyExists && code !== GRPC.failedPrecondition) throw error
      head = await readHead(session, cluster)
      // The one that came first removes these parts when it is replaced.
      if (isAsNew(head, checkpoint)) return
    }
  }
  throw unavailable('the checkpoint is being replaced again and again')
}

function headPath(cluster: string): string {
  return `${checkpointsPath(cluster)}/newest`
}

/** Sorted by version, and before `newest`. */
function partOf(cluster: string, version: Version, part: number): string {
  return `${checkpointsPath(cluster)}/${version}-${part}`
}

async function readHead(
  session: FirestoreSession,
  cluster: string,
): Promise<DocumentSnapshot | undefined> {
  const [head] = await session.read('reading a checkpoint', [headPath(cluster)])
  return head
}

function headOf(snapshot: DocumentSnapshot | undefined): Head | undefined {
  return snapshot?.exists ? (snapshot.data() as Head) : undefined
}

function isAsNew(snapshot: DocumentSnapshot | undefined, checkpoint: Checkpoint): boolean {
  const head = headOf(snapshot)
  return head !== undefined && head.version >= checkpoint.version
}

/** Compressed in slices, none of which may grow without bounds; cut into documents. */
function slice(objects: readonly Entry[]): { data: Uint8Array; isLast: boolean }[] {
  const parts: { data: Uint8Array; isLast: boolean }[] = []
  const flush = (entries: Entry[]): void => {
    const pieces = cut(packData(entries))
    pieces.forEach((data, index) => parts.push({ data, isLast: index === pieces.length - 1 }))
  }
  let entries: Entry[] = []
  let chars = 0
  for (const entry of objects) {
    entries.push(entry)
    chars += JSON.stringify(entry.object).length
    if (chars < SLICE_CHARS) continue
    flush(entries)
    entries = []
    chars = 0
  }
  if (entries.length > 0) flush(entries)
  return parts
}

function assemble(head: Head, parts: DocumentSnapshot[]): Checkpoint {
  const objects: Entry[] = []
  let pieces: Uint8Array[] = []
  for (const part of parts) {
    pieces.push(dataOf(part))
    if (part.get('isLast') !== true) continue
    objects.push(...(unpackData(Buffer.concat(pieces)) as Entry[]))
    pieces = []
  }
  return { version: head.version, cursor: head.cursor, objects }
}

async function writeParts(
  session: FirestoreSession,
  cluster: string,
  version: Version,
  parts: { data: Uint8Array; isLast: boolean }[],
): Promise<void> {
  let batch: WireWrite[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await session.write('writing a checkpoint', batch)
    batch = []
    bytes = 0
  }
  for (const [part, { data, isLast }] of parts.entries()) {
    if (bytes + data.length > COMMIT_BYTES_MAX) await flush()
    batch.push({
      update: {
        name: session.nameOf(partOf(cluster, version, part)),
        fields: { data: { bytesValue: data }, isLast: { booleanValue: isLast } },
      },
    })
    bytes += data.length
  }
  await flush()
}

async function turnHead(
  session: FirestoreSession,
  cluster: string,
  { version, cursor }: Checkpoint,
  parts: number,
  old: DocumentSnapshot | undefined,
): Promise<void> {
  const currentDocument: WireCondition = old?.exists
    ? atVersion(snapshotVersion(old))
    : { exists: false }
  const fields = {
    version: { stringValue: version },
    cursor: { stringValue: cursor },
    parts: { integerValue: String(parts) },
  }
  const update = { name: session.nameOf(headPath(cluster)), fields }
  await session.write('writing a checkpoint', [{ update, currentDocument }])
}

/** The parts of all older ones, also of those that never got a head. */
async function deleteOlder(
  session: FirestoreSession,
  cluster: string,
  version: Version,
): Promise<void> {
  const { firestore } = session.options.connection
  const older = firestore
    .collection(checkpointsPath(cluster))
    .orderBy(firestoreModule.FieldPath.documentId())
    .endBefore(`${version}-`)
    .select()
  const { docs } = await session.query('looking for older checkpoints', older)
  if (docs.length === 0) return
  const deletions = docs.map((doc) => ({ delete: session.nameOf(doc.ref.path) }))
  await session.write('deleting older checkpoints', deletions)
}
