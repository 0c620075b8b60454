// The fields of a body against the schema of its kind: what is unknown is refused, warned of or
// dropped, as ?fieldValidation= says; what is left is in the form in which it is stored.

import { decodeObject } from '#shared/api/schema/decode.ts'
import { duplicateFields } from '#shared/api/schema/duplicate-fields.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import type { ApiContext } from './context.ts'
import type { Expected, ParsedBody } from './decode.ts'
import type { Body } from './strategy.ts'
import { fieldValidationOf } from './write-options.ts'

/** The body as an object of its kind. Warnings go to the context. Error: BadRequest. */
export function checkFields(context: ApiContext, parsed: ParsedBody, expected: Expected): Body {
  const { group, version, kind } = expected
  const schema = schemaOf(group, version, kind)
  if (!schema) throw new Error(`there is no schema of ${group}/${version} ${kind}`)
  const validation = fieldValidationOf(context)
  const mayCare = validation !== 'Ignore' && parsed.json !== undefined
  const duplicates = mayCare ? duplicateFields(parsed.json ?? '') : []
  const decoded = decodeObject(parsed.value, { kind, version, schema }, validation, duplicates)
  context.warnings.push(...decoded.warnings)
  return decoded.object
}
