// DELETE of one object, and of a selection.

import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Status } from '#shared/status.ts'
import { notFound } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import { retryOnConflict, tryCommit } from '../commit.ts'
import { answer, renderingOf, type KindContext } from '../context.ts'
import { deleteOptionsOf, type ParsedDeleteOptions } from '../delete-options.ts'
import { planDelete } from '../deletion.ts'
import { renderList, renderObject } from '../render.ts'
import { formatVersion } from '../resource-version.ts'
import { selectionOf } from '../select.ts'
import {
  atVersion,
  fromStored,
  isOutlived,
  storedKey,
  storedResource,
  unversioned,
} from '../storage.ts'
import { namespaceOf } from './read.ts'

/** Objects of one commit of a collection delete: well below what a commit may carry. */
const COLLECTION_COMMIT = 100

export interface Deleted {
  /** The object as it is now, or as it last was. */
  object: KubeObject
  /** False: it is still there, on its way out. */
  isGone: boolean
}

/** Answers with the object while it is there, with a Status when it went at once. */
export async function deleteObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const options = await deleteOptionsOf(context)
  const deleted = await deleteOne(context, options)
  const { kind } = context
  if (deleted.isGone && !kind.returnsDeletedObject) {
    return answer(context, successStatus(context, deleted.object), rendering.shape)
  }
  return answer(context, renderObject(deleted.object, rendering), rendering.shape)
}

/** Deletes as the options say. Errors: NotFound, Conflict (preconditions), Forbidden. */
export function deleteOne(context: KindContext, options: ParsedDeleteOptions): Promise<Deleted> {
  return retryOnConflict(context, (reader) => deleteOnce(context, options, reader))
}

async function deleteOnce(
  context: KindContext,
  { options, isDryRun }: ParsedDeleteOptions,
  reader: Reader,
): Promise<Deleted> {
  const { kind, info, now } = context
  const key = storedKey(kind, info.namespace, info.name)
  const stored = reader.get(key)
  if (!stored || isOutlived(stored, now)) throw notFound(resourceOf(kind), info.name)
  const plan = planDelete(kind, stored, options, now)
  if (plan.do === 'nothing') return { object: fromStored(kind, stored), isGone: false }
  const object = plan.do === 'mark' ? plan.object : null
  if (isDryRun) return { object: fromStored(kind, object ?? stored), isGone: object === null }
  const expect = stored.metadata.resourceVersion ?? null
  const write = { key, object: object && unversioned(object), expect }
  const revision = await tryCommit(context, 'delete', [write])
  const after = revision.changes.find((change) => change.key === key)?.after
  const last = after ?? atVersion(stored, revision.version)
  return { object: fromStored(kind, last), isGone: after === undefined }
}

function successStatus({ kind }: KindContext, { metadata }: KubeObject): Omit<Status, 'code'> {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: metadata.name,
      ...(kind.group ? { group: kind.group } : {}),
      kind: kind.plural,
      uid: metadata.uid,
    },
  }
}

/** DELETE of a collection: everything that the selectors select; answers the list of it. */
export async function deleteCollection(context: KindContext): Promise<Response> {
  const { kind, query, view } = context
  const rendering = renderingOf(context)
  const options = await deleteOptionsOf(context)
  const selection = selectionOf(kind, query)
  await view.catchUp()
  const names = view.current
    .list(storedResource(kind), namespaceOf(context))
    .filter((stored) => selection.includes(fromStored(kind, stored)))
  const deleted: KubeObject[] = []
  for (let from = 0; from < names.length; from += COLLECTION_COMMIT) {
    const some = names.slice(from, from + COLLECTION_COMMIT)
    deleted.push(
      ...(await retryOnConflict(context, (reader) => deleteSome(context, options, some, reader))),
    )
  }
  const metadata = { resourceVersion: formatVersion(view.current.version) }
  return answer(context, renderList(deleted, metadata, rendering), rendering.shape)
}

async function deleteSome(
  context: KindContext,
  { options, isDryRun }: ParsedDeleteOptions,
  some: readonly KubeObject[],
  reader: Reader,
): Promise<KubeObject[]> {
  const { kind, now } = context
  const deleted: KubeObject[] = []
  const writes = []
  for (const { metadata } of some) {
    const key = storedKey(kind, metadata.namespace ?? '', metadata.name)
    const stored = reader.get(key)
    // Gone or replaced meanwhile: what was selected is no more.
    if (stored?.metadata.uid !== metadata.uid) continue
    deleted.push(fromStored(kind, stored))
    const plan = planDelete(kind, stored, options, now)
    if (plan.do === 'nothing') continue
    const object = plan.do === 'mark' ? unversioned(plan.object) : null
    writes.push({ key, object, expect: stored.metadata.resourceVersion ?? null })
  }
  if (writes.length > 0 && !isDryRun) await tryCommit(context, 'deletecollection', writes)
  return deleted
}
