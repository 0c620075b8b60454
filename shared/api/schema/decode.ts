// From the JSON of a request to an object that may be stored: what is wrong with it is refused or
// warned of (?fieldValidation=), the rest is brought into canonical form.

import { StatusError } from '../../status.ts'
import type { StructSchema } from './notation.ts'
import { prune } from './prune.ts'
import { strictCheck } from './strict-check.ts'

/** What to do with unknown and duplicate fields. Kubernetes' default is Warn. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface Decoded {
  object: Record<string, unknown>
  /** For `Warning: 299 - "…"` headers. */
  warnings: string[]
}

/**
 * Checks and prunes an object of a kind. `duplicates` are findings about the text it was parsed from
 * (duplicateFields in duplicate-fields.ts). BadRequest: a value has the wrong type, or, when Strict,
 * there are fields that the kind does not have.
 */
export function decodeObject(
  value: unknown,
  target: { kind: string; version: string; schema: StructSchema },
  validation: FieldValidation,
  duplicates: readonly string[] = [],
): Decoded {
  const { unknown, typeErrors } = strictCheck(value, target.schema)
  const refuse = (what: string): StatusError =>
    new StatusError(
      'BadRequest',
      `${target.kind} in version "${target.version}" cannot be handled as a ${target.kind}: ${what}`,
    )
  const [typeError] = typeErrors
  if (typeError !== undefined) throw refuse(typeError)
  if (typeof value !== 'object' || value === null) throw refuse('it is not an object')
  const findings = [...duplicates, ...unknown]
  if (validation === 'Strict' && findings.length > 0) {
    throw refuse(`strict decoding error: ${findings.join(', ')}`)
  }
  return {
    object: prune(value, target.schema),
    warnings: validation === 'Warn' ? findings : [],
  }
}
