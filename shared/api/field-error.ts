// Causes in the words of apimachinery's field.Error, so that kubectl prints what it always printed:
// `Invalid value: "x": …`, `Unsupported value: "x": supported values: "A", "B"`, `Required value`.

import type { Cause } from '../status.ts'

/** `spec.containers[0].name`: a path of fields, list indexes and map keys. */
export type FieldPath = string

/** The path of one field below `path`. */
export function child(path: FieldPath, ...names: string[]): FieldPath {
  return [path, ...names].filter((name) => name !== '').join('.')
}

/** The path of a list's element, or of a map's key. */
export function at(path: FieldPath, indexOrKey: number | string): FieldPath {
  return `${path}[${indexOrKey}]`
}

/** What `check` finds wrong with each element of a list, told the element's path. */
export function eachOf<T>(
  path: FieldPath,
  list: readonly T[] | undefined,
  check: (element: T, field: FieldPath, index: number) => Cause[],
): Cause[] {
  return (list ?? []).flatMap((element, index) => check(element, at(path, index), index))
}

/** Each problem of a value (as the functions of name-rules.ts answer them) as a cause. */
export function invalidEach(
  field: FieldPath,
  value: unknown,
  problems: readonly string[],
): Cause[] {
  return problems.map((problem) => invalidValue(field, value, problem))
}

/** A value that must be given and be one of a closed list. */
export function oneOf(
  field: FieldPath,
  value: string | undefined,
  supported: readonly string[],
): Cause[] {
  if (!value) return [required(field)]
  return supported.includes(value) ? [] : [notSupported(field, value, supported)]
}

/** The field is missing. */
export function required(field: FieldPath, detail = ''): Cause {
  return cause('FieldValueRequired', field, 'Required value', detail)
}

/** The value is not acceptable. */
export function invalidValue(field: FieldPath, value: unknown, detail: string): Cause {
  return cause('FieldValueInvalid', field, `Invalid value: ${shown(value)}`, detail)
}

/** The value is none of a closed list, which is printed in the order given. */
export function notSupported(
  field: FieldPath,
  value: unknown,
  supported: readonly string[],
): Cause {
  const list = supported.map((each) => JSON.stringify(each)).join(', ')
  return cause(
    'FieldValueNotSupported',
    field,
    `Unsupported value: ${shown(value)}`,
    supported.length > 0 ? `supported values: ${list}` : '',
  )
}

/** The value stands there twice. */
export function duplicate(field: FieldPath, value: unknown): Cause {
  return cause('FieldValueDuplicate', field, `Duplicate value: ${shown(value)}`, '')
}

/** The field names something that is not there. */
export function notThere(field: FieldPath, value: unknown): Cause {
  return cause('FieldValueNotFound', field, `Not found: ${shown(value)}`, '')
}

/** The field may not be set, or not be changed. */
export function forbidden(field: FieldPath, detail: string): Cause {
  return cause('FieldValueForbidden', field, 'Forbidden', detail)
}

/** The value has more bytes than it may have. */
export function tooLong(field: FieldPath, maxBytes: number): Cause {
  return cause('FieldValueTooLong', field, 'Too long', `may not be more than ${maxBytes} bytes`)
}

/** The list has more elements than it may have. */
export function tooMany(field: FieldPath, count: number, max: number): Cause {
  return cause('FieldValueTooMany', field, `Too many: ${count}`, `must have at most ${max} items`)
}

/** What apimachinery says of a number below 0. */
export const IS_NEGATIVE = 'must be greater than or equal to 0'

/** What Kubernetes says of a field that may not change after creation. */
export const IMMUTABLE = 'field is immutable'

/** `must be between 1 and 65535, inclusive`. */
export function between(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`
}

function cause(reason: string, field: FieldPath, body: string, detail: string): Cause {
  return { reason, message: detail ? `${body}: ${detail}` : body, field }
}

/** A value as field.Error prints it: texts quoted, numbers bare, all else as JSON with sorted keys. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return 'null'
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  )
}
