// What controllers must know of kinds: where an object is kept, and what is filled in when it is new.

import { CATALOG, kindOfObject } from '../api/catalog.ts'
import { resourceOf } from '../api/kind.ts'
import type { AdmissionContext, KindDefinition } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { keyOf } from '../key.ts'
import type { Key } from '../key.ts'

/** The part of a kind's definition that controllers need. */
export interface KindFacts {
  resource: string
  isNamespaced: boolean
  hasGeneration: boolean
  applyDefaults(draft: KubeObject, context: AdmissionContext): void
}

const facts = new Map<KindDefinition, KindFacts>(
  CATALOG.map((kind) => [
    kind,
    {
      resource: resourceOf(kind),
      isNamespaced: kind.isNamespaced,
      hasGeneration: kind.hasGeneration,
      applyDefaults: (draft, context) => kind.applyDefaults?.(draft, context),
    },
  ]),
)

/** All kinds that are stored. */
export const ALL_KINDS: readonly KindFacts[] = CATALOG.filter(({ verbs }) =>
  verbs.includes('create'),
).flatMap((kind) => facts.get(kind) ?? [])

/** Undefined for a kind that is not known. */
export function kindFacts(apiVersion: string, kind: string): KindFacts | undefined {
  const definition = kindOfObject({ apiVersion, kind })
  return definition && facts.get(definition)
}

/** The key of an object. A kind that is not known is a bug of whoever made the object. */
export function keyOfObject(object: KubeObject): Key {
  const known = kindFacts(object.apiVersion, object.kind)
  if (!known) throw new Error(`no kind ${object.kind} in ${object.apiVersion}`)
  return keyOf(known.resource, object.metadata.namespace, object.metadata.name)
}
