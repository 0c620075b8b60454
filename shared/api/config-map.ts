// The kind ConfigMap: keys, size and immutability. (Its type is in config.ts.)

import { isEqual } from '../equal.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import type { ConfigMap } from './config.ts'
import { at, forbidden, invalidValue, tooLong } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { byteLength, validateMeta } from './meta-validation.ts'
import { configKeyProblems } from './name-rules.ts'

/** What a ConfigMap's or Secret's values may have in all: 1 MiB. */
export const CONFIG_BYTES_MAX = 1_048_576

/** What Kubernetes says of a change to an object with `immutable: true`. */
const FROZEN = 'field is immutable when `immutable` is set'

export const configMapKind: KindDefinition<ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [NAME_COLUMN, column('Data', 'How many entries it holds.', 'integer'), AGE_COLUMN],
  cells: (map, context) => [
    map.metadata.name,
    Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length,
    ageOf(map, context),
  ],
  validate: validateConfigMap,
  hasStatus: false,
  hasGeneration: false,
}

function validateConfigMap(map: ConfigMap, context: AdmissionContext): Cause[] {
  const causes = validateMeta(map, { isNamespaced: true }, context)
  let bytes = 0
  for (const [key, value] of Object.entries(map.data ?? {})) {
    const field = at('data', key)
    for (const problem of configKeyProblems(key)) causes.push(invalidValue(field, key, problem))
    if (map.binaryData && key in map.binaryData) {
      causes.push(invalidValue(field, key, 'duplicate of key present in binaryData'))
    }
    bytes += byteLength(value)
  }
  for (const [key, value] of Object.entries(map.binaryData ?? {})) {
    const field = at('binaryData', key)
    for (const problem of configKeyProblems(key)) causes.push(invalidValue(field, key, problem))
    causes.push(...validateBase64(field, value))
    bytes += base64Bytes(value)
  }
  if (bytes > CONFIG_BYTES_MAX) causes.push(tooLong('', CONFIG_BYTES_MAX))
  const old = oldOf(map, context)
  if (old) causes.push(...validateFrozen(map, old, ['data', 'binaryData']))
  return causes
}

/** What an update may not change once `immutable: true` was stored. */
export function validateFrozen(
  object: object & { immutable?: boolean },
  old: object & { immutable?: boolean },
  fields: readonly string[],
): Cause[] {
  if (old.immutable !== true) return []
  const value = (holder: object, field: string): unknown =>
    Object.entries(holder).find(([name]) => name === field)?.[1]
  return [
    ...(object.immutable === true ? [] : [forbidden('immutable', FROZEN)]),
    ...fields
      .filter((field) => !isEqual(value(object, field), value(old, field)))
      .map((field) => forbidden(field, FROZEN)),
  ]
}

/** How many bytes a base64 text stands for. */
export function base64Bytes(text: string): number {
  return Math.floor((text.replace(/=+$/, '').length * 3) / 4)
}

/** Refuses what is no base64, as Go's decoder words it, without showing the value. */
export function validateBase64(field: string, text: unknown): Cause[] {
  if (typeof text === 'string') {
    if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return []
    const wrong = text.search(/[^A-Za-z0-9+/]/)
    const position = wrong < 0 ? text.length - (text.length % 4) : wrong
    return [invalidValue(field, '<value omitted>', `illegal base64 data at input byte ${position}`)]
  }
  return [invalidValue(field, '<value omitted>', 'must be a base64 text')]
}
