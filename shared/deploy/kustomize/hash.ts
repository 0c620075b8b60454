// The hash that kustomize appends to the names of generated ConfigMaps and Secrets, so that a change
// of content is a new object and the workloads that use it roll out.

import { GENERATED_ANNOTATION } from '../../api/repository.ts'
import type { Manifest } from '../manifest.ts'
import type { RenderTools } from '../tree.ts'
import { rename, type Resource } from './resource.ts'

const LETTERS = 10

/** Renames what wants a hash, and marks it as generated. */
export function appendHashes(resources: readonly Resource[], tools: RenderTools): void {
  for (const resource of resources) {
    if (!resource.wantsHash) continue
    const { object } = resource
    const { name } = object.metadata
    rename(resource, `${name}-${contentHash(object, tools)}`)
    object.metadata.annotations = { ...object.metadata.annotations, [GENERATED_ANNOTATION]: name }
  }
}

/** As kustomize's hasher: SHA-256 of the content's JSON as Go writes it, in safe letters; no name. */
export function contentHash(object: Manifest, { sha256 }: RenderTools): string {
  const { kind, data, binaryData, stringData, type } = object
  const content: Record<string, unknown> = {
    ...(binaryData === undefined ? {} : { binaryData }),
    data: data ?? '',
    kind,
    name: '',
    ...(stringData === undefined ? {} : { stringData }),
    ...(kind === 'Secret' ? { type: type ?? '' } : {}),
  }
  const hex = sha256(goJson(content))
  return Array.from(hex.slice(0, LETTERS), (letter) => SAFE[letter] ?? letter).join('')
}

const SAFE: Readonly<Record<string, string>> = { '0': 'g', '1': 'h', '3': 'k', a: 'm', e: 't' }

/** JSON with sorted keys, and what HTML knows escaped. */
function goJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
