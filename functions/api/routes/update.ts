// PUT: the whole object, or the part that a subresource stands for.

import { answer, renderingOf, type KindContext } from '../context.ts'
import { decodeObject } from '../decode.ts'
import { modify } from '../modify.ts'
import { renderObject } from '../render.ts'
import type { Part } from '../strategy.ts'

/** Answers 200 with the object as it is stored. */
export async function updateObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const body = await decodeObject(context, context.kind)
  const { subresource } = context.info
  const object = await modify(context, {
    verb: 'update',
    part: partOf(subresource),
    subresource,
    change: () => body,
  })
  return answer(context, renderObject(object, rendering), rendering.shape)
}

/** Subresources that are a view of the object itself. */
export function partOf(subresource: string): Part {
  if (subresource === 'status' || subresource === 'finalize') return subresource
  return 'spec'
}
