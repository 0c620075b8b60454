// POST of a collection: one new object.

import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { alreadyExists, isReason, StatusError } from '#shared/status.ts'
import { admitByQuota } from '#shared/quota/admission.ts'
import type { Reader } from '#shared/view/reader.ts'
import { retryOnConflict, tryCommit } from '../commit.ts'
import { answer, renderingOf, type KindContext } from '../context.ts'
import { decodeObject } from '../decode.ts'
import { badRequest } from '../errors.ts'
import { trackedManagers } from '../managed-fields.ts'
import { renderObject } from '../render.ts'
import { quotaWrites } from '../quota.ts'
import { fromStored, storedKey, storedResource, toStored } from '../storage.ts'
import { checkNamespace, draftForCreate, type Body, type WriteScope } from '../strategy.ts'
import { wantsDryRun } from '../write-options.ts'

/** Another name is drawn this often when a generated one is taken. */
const NAME_ATTEMPTS = 8

/** Answers 201 with the object as it is stored. */
export async function createObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const body = await decodeObject(context, context.kind)
  const object = await create(context, body)
  return answer(context, renderObject(object, rendering), { ...rendering.shape, status: 201 })
}

/**
 * Creates from a decoded body; one that was applied says itself who manages what. Errors: NotFound
 * (the namespace), AlreadyExists, Invalid …
 */
export async function create(
  context: KindContext,
  body: Body,
  isApply = false,
): Promise<KubeObject> {
  const isGenerated = !body.metadata?.name && Boolean(body.metadata?.generateName)
  for (let attempt = 1; ; attempt++) {
    try {
      return await retryOnConflict(context, (reader) => createOnce(context, body, isApply, reader))
    } catch (error) {
      const mayDrawAgain = isGenerated && attempt < NAME_ATTEMPTS
      if (!mayDrawAgain || !isReason(error, 'AlreadyExists')) throw error
    }
  }
}

async function createOnce(
  context: KindContext,
  body: Body,
  isApply: boolean,
  reader: Reader,
): Promise<KubeObject> {
  const { kind, info, now } = context
  const scope: WriteScope = { kind, namespace: info.namespace, reader, now }
  checkSentNamespace(context, body)
  checkNamespace(scope, body.metadata?.name ?? body.metadata?.generateName ?? '')
  const draft = draftForCreate(body, scope)
  const { name } = draft.metadata
  const key = storedKey(kind, info.namespace, name)
  const present = reader.get(key)
  if (present) throw taken(context, name, present)
  const tracked = isApply
    ? withManagers(draft, body)
    : trackedManagers(context, undefined, draft, '')
  const stored = toStored(kind, tracked)
  const resource = storedResource(kind)
  const quotas = quotaWrites(admitByQuota(reader, { resource, name, after: stored }))
  if (wantsDryRun(context)) return tracked
  const revision = await tryCommit(context, 'create', [
    { key, object: stored, expect: null },
    ...quotas,
  ])
  const after = revision.changes.find((change) => change.key === key)?.after
  if (!after) throw new Error(`the revision of a creation lacks ${key}`)
  return fromStored(kind, after)
}

function withManagers(draft: KubeObject, { metadata }: Body): KubeObject {
  const managedFields = metadata?.managedFields
  return managedFields ? { ...draft, metadata: { ...draft.metadata, managedFields } } : draft
}

function checkSentNamespace({ kind, info }: KindContext, body: Body): void {
  const sent = body.metadata?.namespace
  if (!kind.isNamespaced || !sent || sent === info.namespace) return
  throw badRequest(
    'the namespace of the provided object does not match the namespace sent on the request',
  )
}

function taken({ kind }: KindContext, name: string, present: KubeObject): StatusError {
  const refusal = alreadyExists(resourceOf(kind), name)
  if (present.metadata.deletionTimestamp === undefined) return refusal
  return new StatusError(
    'AlreadyExists',
    `object is being deleted: ${refusal.message}`,
    refusal.details,
  )
}
