// PATCH: what the client wants changed, in one of four languages; server-side apply is one of them,
// and the only one that may create.

import type { KubeObject } from '#shared/api/meta.ts'
import { isReason } from '#shared/status.ts'
import { answer, renderingOf, type KindContext } from '../context.ts'
import { modify } from '../modify.ts'
import {
  applyOnServer,
  applyPatch,
  checkPatchOptions,
  readPatch,
  type ApplyPatch,
  type Patch,
} from '../patch.ts'
import { renderObject } from '../render.ts'
import { create } from './create.ts'
import { partOf } from './update.ts'

/** Answers 200 with the object as it is stored, 201 when it was created. */
export async function patchObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const patch = await readPatch(context)
  checkPatchOptions(context, patch)
  const { object, isNew } =
    patch.type === 'apply'
      ? await applyObject(context, patch)
      : { object: await changeObject(context, patch), isNew: false }
  const body = renderObject(object, rendering)
  return answer(context, body, { ...rendering.shape, status: isNew ? 201 : 200 })
}

function changeObject(context: KindContext, patch: Patch): Promise<KubeObject> {
  const { kind, info } = context
  return modify(context, {
    verb: 'patch',
    part: partOf(info.subresource),
    subresource: info.subresource,
    change: (old) => applyPatch(context, patch, old, kind),
  })
}

interface Applied {
  object: KubeObject
  isNew: boolean
}

/** What is not there is created, unless it is a part of something that would have to be. */
async function applyObject(context: KindContext, patch: ApplyPatch): Promise<Applied> {
  const { info } = context
  try {
    return { object: await reapply(context, patch), isNew: false }
  } catch (error) {
    if (!isReason(error, 'NotFound') || info.subresource !== '') throw error
  }
  try {
    const body = applyOnServer(context, patch, undefined)
    return { object: await create(context, body, true), isNew: true }
  } catch (error) {
    // Somebody else was faster: then it is there now.
    if (!isReason(error, 'AlreadyExists')) throw error
    return { object: await reapply(context, patch), isNew: false }
  }
}

function reapply(context: KindContext, patch: ApplyPatch): Promise<KubeObject> {
  const { subresource } = context.info
  return modify(context, {
    verb: 'apply',
    part: partOf(subresource),
    subresource,
    isApply: true,
    change: (old) => applyOnServer(context, patch, old),
  })
}
