// A commit as documents to write: pure but for its clock, made once and sent as often as needed.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Key } from '#shared/key.ts'
import { commitTooLarge, objectTooLarge } from '#shared/ports/store-rules.ts'
import { COMMIT_BYTES_MAX, OBJECT_BYTES_MAX } from '#shared/ports/store.ts'
import type { Commit, Write } from '#shared/ports/store.ts'
import { packContent } from './firestore-content.ts'
import type { PackedContent } from './firestore-content.ts'
import { atVersion, objectPath, partPath } from './firestore-layout.ts'
import type { WireUpdate, WireValue, WireWrite } from './open-firestore.ts'
import { bare } from './revision-content.ts'
import type { RevisionContent } from './revision-content.ts'

/** Of one write beside its data: names, preconditions, field names. */
const WRITE_OVERHEAD_BYTES = 500

export interface PlanInput {
  cluster: string
  commit: Commit
  content: RevisionContent
  segment: string
  /** The path of the revision's document. */
  revisionPath: string
  /** The objects as they are now. */
  befores: ReadonlyMap<Key, KubeObject>
  nameOf(path: string): string
}

/**
 * All writes of a commit, the revision's document first. Error: RequestEntityTooLarge, when it does
 * not fit even with everything compressed.
 */
export function planWrites(input: PlanInput): WireWrite[] {
  let planned = planWith(input, false)
  if (planned.bytes > COMMIT_BYTES_MAX) planned = planWith(input, true)
  if (planned.bytes > COMMIT_BYTES_MAX) throw commitTooLarge(planned.bytes)
  return planned.writes
}

interface Planned {
  writes: WireWrite[]
  bytes: number
}

function planWith(input: PlanInput, isDense: boolean): Planned {
  const all = [
    planRevision(input, isDense),
    ...input.commit.writes.map((write) => planObject(input, write, isDense)),
  ]
  const writes = all.flatMap((planned) => planned.writes)
  const data = all.reduce((sum, planned) => sum + planned.bytes, 0)
  return { writes, bytes: data + writes.length * WRITE_OVERHEAD_BYTES }
}

function planRevision(input: PlanInput, isDense: boolean): Planned {
  const { cluster, segment, commit, revisionPath } = input
  const content = packContent(JSON.stringify(input.content), isDense)
  const requeueAt = commit.requeueAtMs
  const main: WireUpdate = {
    ...documentWrite(input, revisionPath, {
      cluster: { stringValue: cluster },
      segment: { stringValue: segment },
      ...(requeueAt === undefined
        ? {}
        : { requeueAtMs: { integerValue: String(Math.round(requeueAt)) } }),
      ...content.fields,
    }),
    updateTransforms: [{ fieldPath: 'at', setToServerValue: 'REQUEST_TIME' }],
    currentDocument: { exists: false },
  }
  return { writes: [main, ...partWrites(input, revisionPath, content)], bytes: content.bytes }
}

function planObject(input: PlanInput, write: Write, isDense: boolean): Planned {
  const path = objectPath(input.cluster, write.key)
  const currentDocument = write.expect === null ? { exists: false } : atVersion(write.expect)
  const before = input.befores.get(write.key)
  // A packed object's number of parts follows from its content alone, so it need not be looked up.
  const oldParts = before ? packContent(JSON.stringify(bare(before))).parts.length : 0
  if (!write.object) {
    const main = { delete: input.nameOf(path), currentDocument }
    return { writes: [main, ...partRemovals(input, path, 0, oldParts)], bytes: 0 }
  }
  const text = JSON.stringify(bare(write.object))
  const size = Buffer.byteLength(text)
  if (size > OBJECT_BYTES_MAX) throw objectTooLarge(write.key, size)
  const content = packContent(text, isDense)
  // The commit's id makes every write a change: Firestore keeps the old time of a document that is
  // written as it was, and its version would not be the commit's.
  const fields = { revision: { stringValue: input.commit.id }, ...content.fields }
  return {
    writes: [
      { ...documentWrite(input, path, fields), currentDocument },
      ...partWrites(input, path, content),
      ...partRemovals(input, path, content.parts.length, oldParts),
    ],
    bytes: content.bytes,
  }
}

function documentWrite(
  input: PlanInput,
  path: string,
  fields: Record<string, WireValue>,
): WireUpdate {
  return { update: { name: input.nameOf(path), fields } }
}

function partWrites(input: PlanInput, path: string, content: PackedContent): WireUpdate[] {
  return content.parts.map((data, part) =>
    documentWrite(input, partPath(path, part), { data: { bytesValue: data } }),
  )
}

function partRemovals(input: PlanInput, path: string, from: number, until: number): WireWrite[] {
  return Array.from({ length: Math.max(0, until - from) }, (_, index) => ({
    delete: input.nameOf(partPath(path, from + index)),
  }))
}
