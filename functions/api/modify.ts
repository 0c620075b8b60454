// Changing what is there: the one loop behind PUT, PATCH and the subresources. The change is
// computed from the newest version and committed against it; beaten, it is computed again.

import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { admitByQuota } from '#shared/quota/admission.ts'
import { notFound } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import { retryOnConflict, tryCommit } from './commit.ts'
import type { KindContext } from './context.ts'
import { badRequest } from './errors.ts'
import { trackedManagers } from './managed-fields.ts'
import { quotaWrites } from './quota.ts'
import {
  atVersion,
  fromStored,
  isOutlived,
  storedKey,
  storedResource,
  toStored,
  unversioned,
} from './storage.ts'
import { draftForUpdate, isFinished, type Body, type Part } from './strategy.ts'
import { wantsDryRun } from './write-options.ts'

export interface Modification {
  verb: string
  part: Part
  /** Which subresource managedFields names; '' for the object itself. */
  subresource: string
  /** Server-side apply: the wished object says itself who manages what. */
  isApply?: boolean
  /** The wished object, computed from the present one. May be called again. */
  change(old: KubeObject): Body | Promise<Body>
}

/** The object after it: as stored, or as it was when nothing changed. Error: NotFound, Conflict … */
export function modify(context: KindContext, modification: Modification): Promise<KubeObject> {
  return retryOnConflict(context, (reader) => modifyOnce(context, modification, reader))
}

async function modifyOnce(
  context: KindContext,
  modification: Modification,
  reader: Reader,
): Promise<KubeObject> {
  const { kind, info, now } = context
  const key = storedKey(kind, info.namespace, info.name)
  const present = reader.get(key)
  if (!present || isOutlived(present, now)) throw notFound(resourceOf(kind), info.name)
  const old = fromStored(kind, present)
  const body = withinReach(context, await modification.change(old), old)
  checkNames(context, body)
  const scope = { kind, namespace: info.namespace, reader, now }
  const draft = draftForUpdate(body, old, modification.part, scope)
  if (draft === old) return old
  const tracked = modification.isApply
    ? draft
    : trackedManagers(context, old, draft, modification.subresource)
  const stored = toStored(kind, tracked)
  const change = { resource: storedResource(kind), name: info.name, before: present, after: stored }
  const quotas = modification.part === 'spec' ? quotaWrites(admitByQuota(reader, change)) : []
  if (wantsDryRun(context)) return tracked
  const expect = present.metadata.resourceVersion ?? null
  const object = isFinished(tracked) ? null : unversioned(stored)
  const revision = await tryCommit(context, modification.verb, [{ key, object, expect }, ...quotas])
  const after = revision.changes.find((change) => change.key === key)?.after
  return after ? fromStored(kind, after) : atVersion(tracked, revision.version)
}

/** A node's word counts for status only: labels and annotations may steer what comes to it. */
function withinReach({ identity }: KindContext, body: Body, old: KubeObject): Body {
  if (!identity.node) return body
  const { labels: _, annotations: __, ...metadata } = body.metadata ?? {}
  const { labels, annotations } = old.metadata
  const kept = { ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) }
  return { ...body, metadata: { ...metadata, ...kept } }
}

/** The URL says which object is meant. Error: BadRequest, in Kubernetes' words. */
function checkNames({ info, kind }: KindContext, { metadata }: Body): void {
  const name = metadata?.name ?? ''
  if (name !== info.name) {
    throw badRequest(
      name
        ? `the name of the object (${name}) does not match the name on the URL (${info.name})`
        : `the name of the object (${info.name} based on URL) was undeterminable: name must be provided`,
    )
  }
  const namespace = metadata?.namespace
  if (kind.isNamespaced && namespace && namespace !== info.namespace) {
    throw badRequest(
      `the namespace of the object (${namespace}) does not match the namespace on the request (${info.namespace})`,
    )
  }
}
