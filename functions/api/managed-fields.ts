// metadata.managedFields of ordinary writes: who set which field. Server-side apply keeps its own.

import { apiVersionOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { trackUpdate } from '#shared/patch/managed-fields.ts'
import type { KindContext } from './context.ts'
import { fieldManagerOf } from './write-options.ts'

/** The draft with the writer named as the manager of what it changed. */
export function trackedManagers(
  context: KindContext,
  old: KubeObject | undefined,
  draft: KubeObject,
  subresource: string,
): KubeObject {
  const { kind, now } = context
  const schema = schemaOf(kind.group, kind.version, kind.kind)
  if (!schema) throw new Error(`there is no schema of ${apiVersionOf(kind)} ${kind.kind}`)
  const tracked = trackUpdate({
    before: old && { ...old },
    after: { ...draft },
    manager: fieldManagerOf(context),
    apiVersion: apiVersionOf(kind),
    subresource,
    schema,
    now,
  })
  // It is the draft but for metadata.managedFields.
  return { ...draft, ...tracked }
}
