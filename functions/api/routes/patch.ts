// PATCH: what the client wants changed, in one of four languages; server-side apply is one of them.

import { answer, renderingOf, type KindContext } from '../context.ts'
import { modify } from '../modify.ts'
import { applyPatch, readPatch } from '../patch.ts'
import { renderObject } from '../render.ts'
import { partOf } from './update.ts'

/** Answers 200 with the object as it is stored. */
export async function patchObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const patch = await readPatch(context)
  const { kind, info } = context
  const object = await modify(context, {
    verb: 'patch',
    part: partOf(info.subresource),
    subresource: info.subresource,
    change: (old) => applyPatch(context, patch, old, kind),
  })
  return answer(context, renderObject(object, rendering), rendering.shape)
}
